package actor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// Input says what a program does with its standard input.
type Input string

const (
	// InputIgnored is never read.
	InputIgnored Input = ""
	// InputClosed is closed at once.
	InputClosed Input = "closed"
	// InputRead is read to its end, or to Order.Part, and told as a hash.
	InputRead Input = "read"
	// InputEchoed is InputRead, and written to standard output, too.
	InputEchoed Input = "echoed"
)

// Order is what a program does, in the order of the fields.
type Order struct {
	// Seed makes all bytes, and all sizes of writes.
	Seed uint64 `json:"seed"`
	// Terminal says that there is one, which is made raw.
	Terminal bool `json:"terminal,omitempty"`
	// Trap is a signal, without SIG, that is waited for and survived.
	Trap string `json:"trap,omitempty"`
	// Serve listens for one connection, which is an echo.
	Serve bool `json:"serve,omitempty"`
	// Ready begins with a line: "ready", the container's name, and the address
	// of Serve or "-".
	Ready bool `json:"ready,omitempty"`
	// Out and Err are numbers of bytes for standard output and error, written
	// at the same time.
	Out int64 `json:"out,omitempty"`
	Err int64 `json:"err,omitempty"`
	// Chunk is the largest size of a write. Default: 32768.
	Chunk int `json:"chunk,omitempty"`
	// Input is read while the output is written.
	Input Input `json:"input,omitempty"`
	// Part is how many bytes of input are read; 0 means all.
	Part int64 `json:"part,omitempty"`
	// Columns and Rows are the size of the terminal that is waited for.
	Columns int `json:"columns,omitempty"`
	Rows    int `json:"rows,omitempty"`
	// Forever waits for a signal that is not survived.
	Forever bool `json:"forever,omitempty"`
	// Mute closes the output some time before the end.
	Mute bool `json:"mute,omitempty"`
	// Kill is a signal that the program kills itself with, without SIG.
	Kill string `json:"kill,omitempty"`
	// Code is the exit code otherwise.
	Code int `json:"code,omitempty"`
}

// String is the text that Parse takes.
func (o Order) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // a struct of numbers and texts
	}
	return string(text)
}

// Parse reads an order.
func Parse(text string) (o Order, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return o, fmt.Errorf("not an order: %w", err)
	}
	return o, nil
}

// Which is one of an order's streams.
type Which byte

const (
	Stdin Which = iota
	Stdout
	Stderr
	// Forwarded is sent to Serve.
	Forwarded
	sizes
)

// source is the randomness of a stream: without a period that a lost or doubled
// block could hide in.
func (o Order) source(w Which) *rand.ChaCha8 {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], o.Seed)
	seed[8] = byte(w)
	return rand.NewChaCha8(seed)
}

// Stream is the first n bytes of a stream.
func (o Order) Stream(w Which, n int64) io.Reader { return io.LimitReader(o.source(w), n) }

// Output is all that a program writes to standard output after its line of
// Ready, if it gets the first n bytes of its input.
func (o Order) Output(n int64) io.Reader {
	parts := []io.Reader{o.Stream(Stdout, o.Out)}
	if o.Input == InputEchoed {
		parts = append(parts, o.Stream(Stdin, n))
	}
	if o.Input == InputRead || o.Input == InputEchoed {
		h := sha256.New()
		_, _ = io.Copy(h, o.Stream(Stdin, n)) // neither fails
		parts = append(parts, strings.NewReader(inputLine(n, h.Sum(nil))))
	}
	if o.Columns > 0 {
		parts = append(parts, strings.NewReader(sizeLine(o.Columns, o.Rows)))
	}
	if o.Trap != "" {
		parts = append(parts, strings.NewReader(trapLine(o.Trap)))
	}
	return io.MultiReader(parts...)
}

func inputLine(n int64, sum []byte) string  { return fmt.Sprintf("input %d %x\n", n, sum) }
func sizeLine(columns, rows int) string     { return fmt.Sprintf("size %d %d\n", columns, rows) }
func trapLine(name string) string           { return fmt.Sprintf("signal %s\n", name) }
func readyLine(host, address string) string { return fmt.Sprintf("ready %s %s\n", host, address) }
