package parity

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// outcome is what the client's user gets to see, in named parts.
type outcome []part

type part struct{ name, value string }

func (o outcome) get(name string) (string, bool) {
	for _, p := range o {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// difference is one that is known and has a reason.
type difference struct {
	// where are the names of targets, or the beginnings of such names before a
	// slash.
	where []string
	part  string
	// want is what is seen there instead.
	want string
	// because says why it can't be otherwise.
	because string
}

func (d difference) concerns(target string) bool {
	return slices.ContainsFunc(d.where, func(w string) bool {
		return w == target || strings.HasPrefix(target, w+"/")
	})
}

// compare returns one line for each part that is not as it must be.
func compare(target string, want, got outcome, known []difference) []string {
	var wrong []string
	names := make([]string, 0, len(want))
	for _, p := range want {
		names = append(names, p.name)
	}
	for _, p := range got {
		if !slices.Contains(names, p.name) {
			wrong = append(wrong, fmt.Sprintf("%s: %s here, nothing with sshd", p.name, p.value))
		}
	}
	for _, p := range want {
		value, ok := got.get(p.name)
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s: nothing here, with sshd %s", p.name, p.value))
			continue
		}
		i := slices.IndexFunc(known, func(d difference) bool { return d.part == p.name && d.concerns(target) })
		switch {
		case i < 0 && value != p.value:
			wrong = append(wrong, fmt.Sprintf("%s:\n     here: %s\nwith sshd: %s", p.name, value, p.value))
		case i >= 0 && value == p.value:
			wrong = append(wrong, fmt.Sprintf("%s: as with sshd (%s), so the difference that is declared since %q is none",
				p.name, value, known[i].because))
		case i >= 0 && value != known[i].want:
			wrong = append(wrong, fmt.Sprintf("%s:\n     here: %s\n declared: %s\nwith sshd: %s", p.name, value, known[i].want, p.value))
		}
	}
	for _, d := range known {
		if d.concerns(target) && !slices.Contains(names, d.part) {
			wrong = append(wrong, fmt.Sprintf("%s: a difference is declared for a part that does not exist", d.part))
		}
	}
	return wrong
}

// show makes bytes readable and comparable: a text as it is, quoted; what is
// long or no text as its size and hash.
func show(b []byte) string {
	const long = 4096
	if len(b) <= long && utf8.Valid(b) {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes, SHA-256 %x", len(b), sha256.Sum256(b))
}

func TestCompare(t *testing.T) {
	sshd := outcome{{"exit", "255"}, {"stdout", "x"}}
	killed := []difference{{where: []string{"image", "none/session"}, part: "exit", want: "137", because: "no signals"}}
	for _, c := range []struct {
		name   string
		target string
		got    outcome
		known  []difference
		wrong  int
	}{
		{"equal", "inject/session", sshd, nil, 0},
		{"equal, declared elsewhere", "inject/session", sshd, killed, 0},
		{"declared for one mode only", "none/connection", outcome{{"exit", "137"}, {"stdout", "x"}}, killed, 1},
		{"declared for all modes", "image/connection", outcome{{"exit", "137"}, {"stdout", "x"}}, killed, 0},
		{"declared for this mode", "none/session", outcome{{"exit", "137"}, {"stdout", "x"}}, killed, 0},
		{"declared and does not occur", "image/connection", sshd, killed, 1},
		{"declared and otherwise", "image/connection", outcome{{"exit", "1"}, {"stdout", "x"}}, killed, 1},
		{"different in both", "inject", outcome{{"exit", "0"}, {"stdout", "y"}}, nil, 2},
		{"missing part", "inject", outcome{{"exit", "255"}}, nil, 1},
		{"part too many", "inject", outcome{{"exit", "255"}, {"stdout", "x"}, {"stderr", ""}}, nil, 1},
		{"declared for no part", "inject", sshd, []difference{{where: []string{"inject"}, part: "screen"}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if wrong := compare(c.target, sshd, c.got, c.known); len(wrong) != c.wrong {
				t.Errorf("got %d complaints, want %d: %q", len(wrong), c.wrong, wrong)
			}
		})
	}
}
