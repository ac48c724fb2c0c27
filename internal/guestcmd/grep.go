//go:build linux

package guestcmd

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
)

func grepCommands() []Command {
	help := `Prints lines that match a regular expression. Ends with 0 if any did, 1 if
none, 2 after an error. Expressions are those of Go's regexp package.
  -i  ignoring case           -v  lines that don't match
  -n  with line numbers       -c  only the number of lines
  -l  only names of files     -L  only of those without a match
  -o  only what matched       -q  nothing; just the exit code
  -w  whole words             -x  whole lines
  -r  directories, too        -s  no word about missing files
  -E  the usual | + ? ( )     -F  not a pattern but plain text
  -h, -H  never, always with file names
  -e PATTERN   for several, or for one that begins with -
  -m N         stops after N lines of a file
  -A, -B, -C N with N lines after, before, around`
	long := map[string]rune{"ignore-case": 'i', "invert-match": 'v', "line-number": 'n', "count": 'c', "files-with-matches": 'l',
		"files-without-match": 'L', "only-matching": 'o', "quiet": 'q', "silent": 'q', "word-regexp": 'w', "line-regexp": 'x', "recursive": 'r',
		"extended-regexp": 'E', "fixed-strings": 'F', "no-filename": 'h', "with-filename": 'H', "regexp": 'e',
		"max-count": 'm', "after-context": 'A', "before-context": 'B', "context": 'C', "no-messages": 's'}
	var all []Command
	for _, name := range []string{"grep", "egrep", "fgrep"} {
		all = append(all, Command{
			Name: name, Usage: "[-EFhHiLlnoqrsvwx] [-c] [-m N] [-ABC N] PATTERN [FILE]...",
			spec: "EFGivncolLqwxrRshHe:m:A:B:C:", long: long, usageCode: 2, Help: help, run: runGrep,
		})
	}
	return all
}

type grepper struct {
	*call
	pattern       *regexp.Regexp
	named         bool
	limit         int
	before, after int
	found         bool
	groups        bool // something was printed, so that groups need a separator
	broken        bool
}

func runGrep(c *call) int {
	patterns := c.opts['e']
	if len(patterns) == 0 {
		if len(c.args) == 0 {
			c.fail("no pattern; grep --help tells more")
			return 2
		}
		patterns, c.args = []string{c.args[0]}, c.args[1:]
	}
	g := &grepper{call: c, limit: -1}
	re, err := compileGrep(strings.Split(strings.Join(patterns, "\n"), "\n"), c)
	if err != nil {
		c.fail("%v", err)
		return 2
	}
	g.pattern = re
	for _, n := range []struct {
		letter rune
		to     []*int
	}{{'m', []*int{&g.limit}}, {'C', []*int{&g.before, &g.after}}, {'A', []*int{&g.after}}, {'B', []*int{&g.before}}} {
		if !c.opts.has(n.letter) {
			continue
		}
		v, err := strconv.Atoi(c.opts.value(n.letter, ""))
		if err != nil || v < 0 {
			c.fail("invalid number for -%c", n.letter)
			return 2
		}
		for _, to := range n.to {
			*to = v
		}
	}
	recursive := c.opts.has('r') || c.opts.has('R')
	below := "./" // stands before the names in an explicit "."
	if recursive && len(c.args) == 0 {
		c.args, below = []string{"."}, ""
	}
	g.named = (len(c.args) > 1 || recursive) && !c.opts.has('h') || c.opts.has('H')
	names := c.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if recursive && name != "-" && err == nil && info.IsDir() {
			c.walk(name, func(path string, d fs.DirEntry) {
				if d.Type().IsRegular() && name == "." {
					g.file(below + path)
				} else if d.Type().IsRegular() {
					g.file(path)
				}
			})
			continue
		}
		g.file(name)
		if g.found && c.opts.has('q') {
			return 0
		}
	}
	switch {
	case g.broken || c.failed:
		return 2
	case g.found:
		return 0
	}
	return 1
}

// compileGrep joins the patterns. Without -E, the operators | + ? ( ) { } are
// plain unless escaped, as in POSIX's basic expressions.
func compileGrep(patterns []string, c *call) (*regexp.Regexp, error) {
	extended := c.opts.has('E') || c.name == "egrep"
	plain := c.opts.has('F') || c.name == "fgrep"
	parts := make([]string, len(patterns))
	for i, p := range patterns {
		switch {
		case plain:
			p = regexp.QuoteMeta(p)
		case !extended:
			p = fromBasic(p)
		}
		parts[i] = "(?:" + p + ")"
	}
	expr := "(?:" + strings.Join(parts, "|") + ")"
	if c.opts.has('w') {
		expr = `(?:^|\b)` + expr + `(?:\b|$)`
	}
	if c.opts.has('x') {
		expr = "^" + expr + "$"
	}
	flags := ""
	if c.opts.has('i') {
		flags = "(?i)"
	}
	re, err := regexp.Compile(flags + expr)
	if err != nil {
		return nil, err
	}
	re.Longest() // POSIX: the longest of the leftmost
	return re, nil
}

// fromBasic turns a basic regular expression into an extended one.
func fromBasic(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch ch := p[i]; {
		case ch == '\\' && i+1 < len(p):
			i++
			if strings.IndexByte("|+?(){}", p[i]) >= 0 {
				b.WriteByte(p[i])
			} else {
				b.WriteByte('\\')
				b.WriteByte(p[i])
			}
		case ch == '[': // up to its end as it is
			end := i + 1
			if end < len(p) && p[end] == '^' {
				end++
			}
			if end < len(p) && p[end] == ']' {
				end++
			}
			for end < len(p) && p[end] != ']' {
				if strings.HasPrefix(p[end:], "[:") {
					if n := strings.Index(p[end:], ":]"); n > 0 {
						end += n + 1
					}
				}
				end++
			}
			b.WriteString(p[i:min(end+1, len(p))])
			i = end
		case strings.IndexByte("|+?(){}", ch) >= 0:
			b.WriteByte('\\')
			b.WriteByte(ch)
		case ch == '*' && (i == 0 || p[i-1] == '^' && i == 1):
			b.WriteString(`\*`)
		default:
			b.WriteByte(ch)
		}
	}
	return b.String()
}

func (g *grepper) file(name string) {
	f, err := g.open(name)
	if err != nil {
		g.broken = true
		if !g.opts.has('s') || !errors.Is(err, fs.ErrNotExist) {
			g.failFile(name, err)
		}
		return
	}
	if f != g.in {
		defer f.Close()
	}
	title := name
	if name == "-" {
		title = "(standard input)"
	}
	quiet := g.opts.has('q') || g.opts.has('l') || g.opts.has('L') || g.opts.has('c')
	prefix := func(number int, mark byte) {
		if g.named {
			g.printf("%s%c", title, mark)
		}
		if g.opts.has('n') {
			g.printf("%d%c", number, mark)
		}
	}
	type numbered struct {
		number int
		text   []byte
	}
	var held []numbered
	number, count, trailing, lastShown := 0, 0, 0, 0
	binary := false
	err = eachLine(f, '\n', func(line []byte) bool {
		number++
		text := bytes.TrimSuffix(line, []byte{'\n'})
		if number == 1 && bytes.IndexByte(text, 0) >= 0 {
			binary = true
		}
		if g.limit >= 0 && count >= g.limit && trailing == 0 {
			return false
		}
		matched := g.pattern.Match(text) != g.opts.has('v')
		if g.limit >= 0 && count >= g.limit {
			matched = false
		}
		switch {
		case matched:
			count++
			if quiet {
				return !g.opts.has('q') && !g.opts.has('l') && !g.opts.has('L')
			}
			if binary {
				g.printf("%s: %s: binary file matches\n", g.name, title)
				return false
			}
			if (g.before > 0 || g.after > 0) && g.groups && lastShown < number-len(held)-1 {
				g.println("--")
			} else if (g.before > 0 || g.after > 0) && g.groups && lastShown == 0 {
				g.println("--")
			}
			for _, h := range held {
				prefix(h.number, '-')
				g.printf("%s\n", h.text)
			}
			held = held[:0]
			if g.opts.has('o') && !g.opts.has('v') {
				for _, m := range g.pattern.FindAll(text, -1) {
					if len(m) > 0 {
						prefix(number, ':')
						g.printf("%s\n", m)
					}
				}
			} else {
				prefix(number, ':')
				g.printf("%s\n", text)
			}
			g.groups = true
			lastShown = number
			trailing = g.after
		case trailing > 0 && !quiet:
			trailing--
			lastShown = number
			prefix(number, '-')
			g.printf("%s\n", text)
		case g.before > 0 && !quiet:
			if held = append(held, numbered{number, text}); len(held) > g.before {
				held = held[1:]
			}
		}
		return true
	})
	if err != nil {
		g.broken = true
		g.failFile(name, err)
	}
	if count > 0 != g.opts.has('L') {
		g.found = true
	}
	switch {
	case g.opts.has('q'):
	case g.opts.has('l') && count > 0, g.opts.has('L') && count == 0:
		g.println(title)
	case g.opts.has('c') && !g.opts.has('l') && !g.opts.has('L'):
		if g.named {
			g.printf("%s:", title)
		}
		g.println(count)
	}
}
