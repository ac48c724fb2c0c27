package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// block is what dd reads and writes at a time.
const block = 64 << 10

// transfers measures how fast bytes go through stock ssh, both ways. The
// connection is open before: a login has its own figures.
func (b *bench) transfers(ctx context.Context) ([]Figure, error) {
	endpoints, err := b.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	zeros, err := os.CreateTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = zeros.Close()
		_ = os.Remove(zeros.Name())
	}()
	// A file without a single block on the disk reads as zeros.
	if err := zeros.Truncate(b.size.transfer); err != nil {
		return nil, err
	}
	// The first to read it would wait until there is memory for it.
	if _, err := io.Copy(io.Discard, zeros); err != nil {
		return nil, err
	}
	ciphers := map[string]string{}
	var downloads, uploads []*contender
	for _, e := range endpoints {
		if ciphers[e.name], err = correct(ctx, e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		// Each transfer has a connection of its own: one that goes on would
		// have to renew its keys, some time.
		transfer := func(name, command string, prepare func(*exec.Cmd) error) *contender {
			return &contender{
				series: []*series{{name: e.name, ran: name}},
				settle: e.settle,
				run: func(ctx context.Context) ([]time.Duration, error) {
					m, err := e.openMaster(ctx)
					if err != nil {
						return nil, err
					}
					defer m.close()
					if err := run(m.session(ctx, "true")); err != nil { // the container is there
						return nil, err
					}
					cmd := m.session(ctx, command)
					if err := prepare(cmd); err != nil {
						return nil, err
					}
					begin := time.Now()
					err = run(cmd)
					return []time.Duration{time.Since(begin)}, err
				},
			}
		}
		down, up := download(b.size.transfer), "dd of=/dev/null bs="+strconv.Itoa(block)+" 2>/dev/null"
		downloads = append(downloads, transfer("ssh HOST '"+down+"' >/dev/null", down, func(*exec.Cmd) error { return nil }))
		uploads = append(uploads, transfer("ssh HOST '"+up+"' <ZEROS", up, func(cmd *exec.Cmd) error {
			cmd.Stdin = zeros
			_, err := zeros.Seek(0, 0)
			return err
		}))
	}
	if err := alternate(ctx, b.size.transfers, append(append([]*contender{}, downloads...), uploads...)); err != nil {
		return nil, err
	}
	figures := []Figure{
		comparison("download_vs_openssh", atLeast(1.5), "ratio", throughput, allSeries(downloads)),
		comparison("upload_vs_openssh", atLeast(1), "ratio", throughput, allSeries(uploads)),
	}
	for i := range figures {
		f := &figures[i]
		var words []string
		for _, s := range f.Sides {
			mib := float64(b.size.transfer) / (1 << 20) / (s.Median / 1000)
			words = append(words, fmt.Sprintf("%s %.0f MiB/s with %s", s.Name, mib, ciphers[s.Name]))
		}
		f.Note = fmt.Sprintf("%d MiB: %s", b.size.transfer>>20, strings.Join(words, ", "))
	}
	return figures, nil
}

// throughput is the ratio of throughputs of two times for the same bytes.
func throughput(a, b float64) float64 { return b / a }

// download is the command line that sends so many bytes.
func download(bytes int64) string {
	return fmt.Sprintf("dd if=/dev/zero bs=%d count=%d 2>/dev/null", block, bytes/block)
}

// correct makes sure that all bytes arrive: the transfers that are timed go to
// nowhere. It returns the cipher that stock ssh has come to with the server.
func correct(ctx context.Context, e *endpoint) (cipher string, err error) {
	const size = 256 * block
	m, err := e.openMaster(ctx)
	if err != nil {
		return "", err
	}
	defer m.close()
	down, err := m.session(ctx, download(size)).Output()
	if err != nil || len(down) != size {
		return "", fmt.Errorf("%d bytes of a download have arrived, and not %d (%w)", len(down), size, err)
	}
	count := m.session(ctx, "wc -c")
	count.Stdin = strings.NewReader(string(down))
	up, err := count.Output()
	if got := strings.TrimSpace(string(up)); err != nil || got != strconv.Itoa(size) {
		return "", fmt.Errorf("%s bytes of an upload have arrived, and not %d (%w)", got, size, err)
	}
	return m.cipher, nil
}
