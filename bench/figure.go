package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
)

// Figure is one number with what it was made of.
type Figure struct {
	// Name is the figure's name in docs/performance.md.
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Unit is "ratio", or what Value counts.
	Unit string `json:"unit"`
	// Goal is missing where a figure only informs.
	Goal *Goal `json:"goal,omitempty"`
	// Met is missing without a goal, and in a quick run, which tells nothing.
	Met *bool `json:"met,omitempty"`
	// Spread is the lower and upper quartile of the same number within single
	// rounds; missing where there are no rounds.
	Spread *[2]float64 `json:"spread,omitempty"`
	// Failures counts what did not work, where that is part of the goal.
	Failures *int `json:"failures,omitempty"`
	// Sides are what was measured. The figure is made of the first two.
	Sides []Side `json:"sides"`
	// Note is what a reader should know besides.
	Note string `json:"note,omitempty"`
	// Command makes this figure again.
	Command string `json:"command"`
}

// Goal is what a figure should be.
type Goal struct {
	// Is is "<=" or ">=".
	Is    string  `json:"is"`
	Value float64 `json:"value"`
}

func atMost(v float64) *Goal  { return &Goal{"<=", v} }
func atLeast(v float64) *Goal { return &Goal{">=", v} }

func (g *Goal) String() string {
	if g == nil {
		return ""
	}
	return g.Is + " " + short(g.Value)
}

func (g *Goal) met(v float64) bool {
	if g.Is == "<=" {
		return v <= g.Value
	}
	return v >= g.Value
}

// Side is what was measured of one contender.
type Side struct {
	Name   string  `json:"name"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	Unit   string  `json:"unit"`
	N      int     `json:"n"`
	// Ran is what was timed.
	Ran string `json:"ran"`
}

func sides(all ...*series) []Side {
	var list []Side
	for _, s := range all {
		list = append(list, Side{Name: s.name, Median: s.median(), P99: s.p99(), Unit: "ms", N: len(s.samples), Ran: s.ran})
	}
	return list
}

// comparison is the figure made of the first two of all series.
func comparison(name string, goal *Goal, unit string, op func(a, b float64) float64, all []*series) Figure {
	value, spread := compare(all[0], all[1], op)
	return Figure{Name: name, Value: value, Unit: unit, Goal: goal, Spread: &spread, Sides: sides(all...)}
}

// judge says whether the goal has been reached.
func (f *Figure) judge(quick bool) {
	if f.Goal == nil || quick {
		return
	}
	met := f.Goal.met(f.Value) && (f.Failures == nil || *f.Failures == 0)
	f.Met = &met
}

// Level is how the server does with a number of connections open.
type Level struct {
	Connections int `json:"connections"`
	// Login is the time of one more login.
	Login Side `json:"login"`
	// ResidentKiB is the server's memory in all.
	ResidentKiB int `json:"residentKiB"`
	// KiBPerConnection is what it has more than without connections, for each
	// of them. With few of them that is mostly chance.
	KiBPerConnection float64 `json:"kibPerConnection"`
	// Goroutines are all that the server has.
	Goroutines float64 `json:"goroutines"`
	// IdleCPU is the part of one processor that the server takes for
	// connections on which nothing happens, in percent.
	IdleCPU float64 `json:"idleCPU"`
}

// tellingCrowd is from how many connections on the memory of each one means
// something: the collector moves more than a few take.
const tellingCrowd = 100

// Report is a whole run, as in bench.json.
type Report struct {
	Made    time.Time `json:"made"`
	Command string    `json:"command"`
	// Quick runs show that everything works, and no figure.
	Quick   bool              `json:"quick"`
	Machine map[string]string `json:"machine"`
	// Busy is how busy the processors were before the run, in percent.
	Busy    float64  `json:"busy"`
	Figures []Figure `json:"figures"`
	Scaling []Level  `json:"scaling,omitempty"`
	// Failed are the measurements that came to no end, with the reason.
	Failed map[string]string `json:"failed,omitempty"`
}

// write prints the report as tables, which are also Markdown.
func (r *Report) write(w io.Writer) {
	if r.Quick {
		fmt.Fprintln(w, "A quick run: it shows that everything works. Its numbers mean nothing.")
	}
	t := newTable(w, "figure", "value", "spread", "goal", "met")
	for _, f := range r.Figures {
		spread, met := "", ""
		if f.Spread != nil {
			spread = short(f.Spread[0]) + " – " + short(f.Spread[1])
		}
		if f.Met != nil {
			met = map[bool]string{true: "yes", false: "no"}[*f.Met]
		}
		goal := f.Goal.String()
		value := short(f.Value)
		if f.Unit != "ratio" {
			value += " " + f.Unit
		}
		if f.Failures != nil {
			value += fmt.Sprintf(", %d failures", *f.Failures)
		}
		t.row(f.Name, value, spread, goal, met)
	}
	t.end()
	t = newTable(w, "figure", "side", "median", "p99", "samples", "times the second")
	for _, f := range r.Figures {
		for i, s := range f.Sides {
			name, relative := f.Name, ""
			if i > 0 {
				name = ""
			}
			if len(f.Sides) > 1 && f.Sides[1].Median > 0 {
				relative = short(s.Median / f.Sides[1].Median)
			}
			t.row(name, s.Name, short(s.Median)+" "+s.Unit, short(s.P99)+" "+s.Unit, fmt.Sprint(s.N), relative)
		}
	}
	t.end()
	if len(r.Scaling) > 0 {
		t = newTable(w, "connections", "login, median", "login, p99", "memory", "per connection", "goroutines", "processor when idle")
		for _, l := range r.Scaling {
			each := short(l.KiBPerConnection) + " KiB"
			if l.Connections < tellingCrowd {
				each = ""
			}
			t.row(fmt.Sprint(l.Connections), short(l.Login.Median)+" ms", short(l.Login.P99)+" ms",
				fmt.Sprintf("%.0f MiB", float64(l.ResidentKiB)/1024), each, fmt.Sprint(l.Goroutines), short(l.IdleCPU)+" %")
		}
		t.end()
	}
	for _, f := range r.Figures {
		if f.Note != "" {
			fmt.Fprintf(w, "%s: %s\n", f.Name, f.Note)
		}
	}
	for what, why := range r.Failed {
		fmt.Fprintf(w, "FAILED: %s: %s\n", what, why)
	}
}

// short writes a number with three digits that mean something.
func short(v float64) string {
	switch magnitude := math.Abs(v); {
	case magnitude >= 100:
		return fmt.Sprintf("%.0f", v)
	case magnitude >= 10:
		return fmt.Sprintf("%.1f", v)
	case magnitude >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

type table struct {
	out io.Writer
	w   *tabwriter.Writer
}

func newTable(out io.Writer, columns ...string) table {
	t := table{out, tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)}
	t.row(columns...)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
	}
	t.row(rule...)
	return t
}

func (t table) row(cells ...string) { fmt.Fprintf(t.w, "| %s\t|\n", strings.Join(cells, "\t| ")) }

func (t table) end() {
	_ = t.w.Flush() // as with all that is printed
	fmt.Fprintln(t.out)
}
