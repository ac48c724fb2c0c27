package auth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// maxKeyFile bounds the size of a file of keys, in bytes; 16 MiB are some
// hundred thousand keys.
const maxKeyFile = 16 << 20

// AuthorizedKeys accepts the public keys that are listed in files, in the form
// of OpenSSH's authorized_keys, and in texts of one such line each. A key is
// good for every username.
//
// Files are read again when they have changed, so that a key can be added or
// withdrawn while the server runs. At run time a line that can't be used is
// skipped with a warning, once for each change of the file; a file that is
// missing is as good as empty. Check finds such things beforehand.
//
// Of the options of a line, from and expiry-time are honoured. Any other option
// makes the line unusable: it can't be enforced, and a key must not open more
// than its line says.
type AuthorizedKeys struct {
	log   *slog.Logger
	files []*keyFile
	texts *keySet
	now   func() time.Time
}

var _ Authenticator = (*AuthorizedKeys)(nil)

// NewAuthorizedKeys makes an AuthorizedKeys. It reads the files and logs a
// warning for everything that can't be used; none is an error. A nil log
// discards.
func NewAuthorizedKeys(files, keys []string, log *slog.Logger) *AuthorizedKeys {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &AuthorizedKeys{log: log, texts: keyTexts(keys), now: time.Now}
	for _, problem := range a.texts.problems {
		log.Warn("a key is not used", "error", problem)
	}
	for _, path := range files {
		f := &keyFile{path: path}
		f.current(log)
		a.files = append(a.files, f)
	}
	return a
}

// CheckAuthorizedKeys returns everything that NewAuthorizedKeys would warn of:
// files that can't be read, and lines that can't be used, each with its file
// and line, or the index of its text. usable is how many keys there are.
func CheckAuthorizedKeys(files, keys []string) (usable int, problems []error) {
	texts := keyTexts(keys)
	usable, problems = texts.count, texts.problems
	for _, path := range files {
		set := readKeys(path)
		usable += set.count
		problems = append(problems, set.problems...)
	}
	return usable, problems
}

// LineError is about one line of keys that can't be used.
type LineError struct {
	// File is empty for a text, whose Line is its number, from 1.
	File string
	Line int
	Err  error
}

func (e *LineError) Error() string { return place(e.File, e.Line) + ": " + e.Err.Error() }

func (e *LineError) Unwrap() error { return e.Err }

func place(file string, line int) string {
	if file == "" {
		return fmt.Sprintf("key %d of the configuration", line)
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// Methods is public keys.
func (a *AuthorizedKeys) Methods() []string { return []string{"publickey"} }

// Authenticate accepts a listed key.
func (a *AuthorizedKeys) Authenticate(_ context.Context, attempt Attempt) (Decision, error) {
	shown, ok := attempt.Credential.(PublicKey)
	if !ok {
		return Decision{Detail: "only public keys are accepted"}, nil
	}
	client, _ := netip.AddrFromSlice(attempt.Client.IP)
	wanted := shown.Key.Marshal()
	refusal := "the key is not listed"
	now := a.now()

	sets := []*keySet{a.texts}
	for _, f := range a.files {
		sets = append(sets, f.current(a.log))
	}
	for _, set := range sets {
		for _, l := range set.lines[string(wanted)] {
			ok, why := l.allows(client, now)
			if ok {
				return Decision{Accepted: true, Detail: why}, nil
			}
			refusal = why
		}
	}
	return Decision{Detail: refusal}, nil
}

// keySet is what was found in one place at one time. It does not change.
type keySet struct {
	// lines has the keys' wire form (RFC 4253 section 6.6) as its keys.
	lines    map[string][]*line
	count    int
	problems []error

	// state is the file's when it was read; nil for a file that could not be
	// read. fresh is set if the file had just been written, so that a further
	// change could leave its time and size alike.
	state fs.FileInfo
	fresh bool
}

func (s *keySet) add(text, file string, number int) {
	l, err := parseLine(text, place(file, number))
	switch {
	case err != nil:
		s.problems = append(s.problems, &LineError{File: file, Line: number, Err: err})
	case l != nil:
		wire := string(l.key.Marshal())
		s.lines[wire] = append(s.lines[wire], l)
		s.count++
	}
}

func keyTexts(keys []string) *keySet {
	s := &keySet{lines: map[string][]*line{}}
	for i, text := range keys {
		s.add(text, "", i+1)
	}
	return s
}

// keyFile is a file of keys that is read again when it has changed.
type keyFile struct {
	path   string
	latest atomic.Pointer[keySet]
}

// current returns the file's keys. It costs one stat when nothing has changed.
func (f *keyFile) current(log *slog.Logger) *keySet {
	state, err := os.Stat(f.path)
	latest := f.latest.Load()
	if latest != nil && !latest.fresh {
		if err != nil && latest.state == nil {
			return latest
		}
		if err == nil && latest.state != nil && sameState(state, latest.state) {
			return latest
		}
	}
	set := readKeys(f.path)
	// Whoever stores it first tells of it.
	if f.latest.CompareAndSwap(latest, set) && (latest == nil || !alike(latest.problems, set.problems)) {
		for _, problem := range set.problems {
			log.Warn("a key is not used", "error", problem)
		}
	}
	return set
}

func sameState(a, b fs.FileInfo) bool {
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}

func alike(a, b []error) bool {
	return slices.EqualFunc(a, b, func(a, b error) bool { return a.Error() == b.Error() })
}

// readKeys reads a file. What can't be read is a problem of the set.
func readKeys(path string) *keySet {
	s := &keySet{lines: map[string][]*line{}}
	data, state, err := readRegular(path)
	if err != nil {
		s.problems = []error{err}
		return s
	}
	s.state = state
	// File systems keep times with a granularity of up to two seconds.
	s.fresh = time.Since(state.ModTime()) < 2*time.Second
	number := 0
	for text := range bytes.Lines(data) {
		number++
		s.add(string(text), path, number)
	}
	return s
}

func readRegular(path string) ([]byte, fs.FileInfo, error) {
	// Asked before opening, which would wait for the writer of a named pipe.
	state, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !state.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	if state, err = file.Stat(); err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxKeyFile {
		return nil, nil, fmt.Errorf("%s: is larger than %d MiB", path, maxKeyFile>>20)
	}
	return data, state, nil
}
