package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
)

// draw draws how logins and memory grow with the number of connections, from
// the file of a run into an SVG file.
func draw(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("%w: run make bench first", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if len(r.Scaling) < 2 {
		return errors.New(from + " has no scaling: it was made with -only")
	}
	return os.WriteFile(to, plot(r.Scaling), 0o644)
}

// The plot is two charts side by side; lengths are in pixels.
const (
	chartWidth, chartHeight = 400, 260
	left, right             = 52, 28
	top, bottom             = 40, 44
)

// line is one line of a chart.
type line struct {
	name, colour string
	value        func(Level) float64
}

func plot(levels []Level) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		2*chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	chart(&b, 0, "One more login, in milliseconds", levels, false, []line{
		{"99 of 100", "#d55e00", func(l Level) float64 { return l.Login.P99 }},
		{"median", "#0072b2", func(l Level) float64 { return l.Login.Median }},
	})
	chart(&b, chartWidth, "Memory of the server, in MiB", levels, true, []line{
		{"resident", "#0072b2", func(l Level) float64 { return float64(l.ResidentKiB) / 1024 }},
	})
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// chart draws lines over the number of connections, which grows by powers of
// ten, and so do the values if steep.
func chart(b *strings.Builder, x0 int, title string, levels []Level, steep bool, lines []line) {
	width, height := float64(chartWidth-left-right), float64(chartHeight-top-bottom)
	most := 0.0
	for _, l := range levels {
		for _, s := range lines {
			most = max(most, s.value(l))
		}
	}
	decades := max(1, math.Ceil(math.Log10(float64(levels[len(levels)-1].Connections))-0.01))
	x := func(n float64) float64 { return width * math.Log10(n) / decades }
	step := niceStep(most)
	ceiling := step * math.Ceil(most/step)
	y := func(v float64) float64 { return height * (1 - v/ceiling) }
	var marks []float64
	for v := 0.0; v <= ceiling; v += step {
		marks = append(marks, v)
	}
	if steep {
		ceiling = math.Pow(10, math.Ceil(math.Log10(most)))
		y = func(v float64) float64 { return height * (1 - math.Log10(max(v, 1))/math.Log10(ceiling)) }
		marks = nil
		for v := 1.0; v <= ceiling; v *= 10 {
			marks = append(marks, v)
		}
	}

	fmt.Fprintf(b, `<g transform="translate(%d %d)">`+"\n", x0+left, top)
	fmt.Fprintf(b, `<text x="0" y="-20" font-size="13">%s</text>`+"\n", title)
	for _, v := range marks {
		fmt.Fprintf(b, `<path d="M0 %.1fH%.1f" stroke="#ddd"/><text x="-6" y="%.1f" text-anchor="end">%g</text>`+"\n", y(v), width, y(v)+4, v)
	}
	for d := 0.0; d <= decades; d++ {
		n := math.Pow(10, d)
		fmt.Fprintf(b, `<path d="M%.1f 0V%.1f" stroke="#eee"/><text x="%.1f" y="%.1f" text-anchor="middle">%g</text>`+"\n", x(n), height, x(n), height+16, n)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">connections open</text>`+"\n", width/2, height+34)
	for i, s := range lines {
		var points []string
		for _, l := range levels {
			px, py := x(float64(l.Connections)), y(s.value(l))
			points = append(points, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", px, py, s.colour)
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), s.colour)
		fmt.Fprintf(b, `<text x="8" y="%d" fill="%s">%s</text>`+"\n", 14*(i+1), s.colour, s.name)
	}
	b.WriteString("</g>\n")
}

// niceStep divides a range into three to eight parts of 1, 2 or 5 times a power
// of ten.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, step := range []float64{0.2, 0.5, 1} {
		if most/(step*power) <= 8 {
			return step * power
		}
	}
	return 2 * power
}
