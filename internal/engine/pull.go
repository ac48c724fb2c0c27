package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PullImage pulls an image, with the credentials that the engine client's
// configuration file has for its registry. progress may be nil; it is called
// from the goroutine of the caller. There is no limit in time but ctx.
//
// A refusal by the registry is ErrUnauthorized, an image that it does not have
// ErrNotFound.
func (c *Client) PullImage(ctx context.Context, ref string, platform *ocispec.Platform, progress func(PullProgress)) error {
	op := "pull image " + ref
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return fail(op, ErrInvalid, "%w", err)
	}
	n, err := c.link.negotiate(ctx)
	if err != nil {
		return err
	}
	if progress == nil {
		progress = func(PullProgress) {}
	}

	credentials, credentialsErr := registryCredentials(ctx, reference.Domain(named))
	options := client.ImagePullOptions{RegistryAuth: credentials}
	if platform != nil && platform.OS != "" {
		options.Platforms = []ocispec.Platform{*platform}
	}
	r, err := n.api.ImagePull(ctx, ref, options)
	if err == nil {
		err = readProgress(op, c.link.settings.Host, r, progress)
		_ = r.Close()
	} else if kind := kindOfMessage(err.Error()); kind != nil {
		// Docker says 404 also to what it may not see.
		err = fail(op, kind, "%w", err)
	}
	err = c.link.explain(ctx, ctx, op, classify(op, err))
	if err != nil && credentialsErr != nil {
		// Public images need none, so it only matters now.
		err = errors.Join(err, credentialsErr)
	}
	return err
}

// progressLine bounds one line of an engine's news, in bytes.
const progressLine = 1 << 20

// readProgress reads news until the end. The status of such an answer is sent
// before anything is known, so what fails comes as a line too.
func readProgress(op, host string, r io.Reader, progress func(PullProgress)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), progressLine)
	for lines.Scan() {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		var line struct {
			ID     string `json:"id"`
			Status string `json:"status"`
			Detail struct {
				Current int64 `json:"current"`
				Total   int64 `json:"total"`
			} `json:"progressDetail"`
			Error       string `json:"error"`
			ErrorDetail struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
			} `json:"errorDetail"`
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return fail(op, nil, "the engine's news can't be read: %w", err)
		}
		if message := strings.TrimSpace(first(line.ErrorDetail.Message, line.Error)); message != "" {
			return refused(op, line.ErrorDetail.Code, message)
		}
		if line.Status != "" {
			progress(PullProgress{Layer: line.ID, Status: line.Status,
				Current: line.Detail.Current, Total: line.Detail.Total})
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return fail(op, nil, "the engine sent a line of more than %d bytes: %w", progressLine, err)
		}
		return unreachable{host, err}
	}
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
