package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(100-i))
	}
	for _, c := range []struct {
		samples     []float64
		median, p99 float64
	}{
		{nil, 0, 0},
		{[]float64{7}, 7, 7},
		{[]float64{3, 1}, 2, 3},
		{[]float64{5, 1, 3}, 3, 5},
		{hundred, 50.5, 99},
	} {
		if m, p := median(c.samples), quantile(c.samples, 0.99); m != c.median || p != c.p99 {
			t.Errorf("%v: median %v, p99 %v; want %v, %v", c.samples, m, p, c.median, c.p99)
		}
	}
}

func TestCompare(t *testing.T) {
	a, b := &series{samples: []float64{2, 4, 6, 8}}, &series{samples: []float64{1, 1, 2, 2}}
	value, spread := compare(a, b, ratio)
	if value != 5/1.5 || spread != [2]float64{2, 4} {
		t.Errorf("%v, %v", value, spread)
	}
}

// Each round begins with another contender, and settling comes after each.
func TestAlternate(t *testing.T) {
	var order []string
	contestant := func(name string) *contender {
		return timed(name, name, func(context.Context) error {
			order = append(order, "-")
			return nil
		}, func(context.Context) error {
			order = append(order, name)
			return nil
		})
	}
	a, b := contestant("a"), contestant("b")
	if err := alternate(t.Context(), 3, []*contender{a, b}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "a-b-b-a-a-b-" || len(a.series[0].samples) != 3 {
		t.Errorf("%s, %d samples", got, len(a.series[0].samples))
	}
	broken := errors.New("broken")
	b.run = func(context.Context) ([]time.Duration, error) { return nil, broken }
	if err := alternate(t.Context(), 1, []*contender{a, b}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestJudge(t *testing.T) {
	one, none := 1, 0
	for _, c := range []struct {
		figure Figure
		met    bool
	}{
		{Figure{Value: 2, Goal: atMost(2)}, true},
		{Figure{Value: 2.1, Goal: atMost(2)}, false},
		{Figure{Value: 1.5, Goal: atLeast(1.5)}, true},
		{Figure{Value: 1.4, Goal: atLeast(1.5)}, false},
		{Figure{Value: 1, Goal: atMost(2), Failures: &none}, true},
		{Figure{Value: 1, Goal: atMost(2), Failures: &one}, false},
	} {
		c.figure.judge(false)
		if c.figure.Met == nil || *c.figure.Met != c.met {
			t.Errorf("%+v", c.figure)
		}
	}
	for _, f := range []Figure{{Value: 1}, {Value: 1, Goal: atMost(2)}} {
		if f.judge(f.Goal != nil); f.Met != nil {
			t.Errorf("%+v", f)
		}
	}
}

func TestPlot(t *testing.T) {
	svg := plot([]Level{
		{Connections: 1, Login: Side{Median: 10, P99: 20}, ResidentKiB: 30 << 10},
		{Connections: 10000, Login: Side{Median: 12, P99: 70}, ResidentKiB: 2000 << 10},
	})
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
		t.Errorf("%s", svg)
	}
	elements := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	if elements["polyline"] != 3 || elements["circle"] != 6 {
		t.Errorf("%v", elements)
	}
}

func TestStep(t *testing.T) {
	var got []float64
	for _, most := range []float64{0, 0.9, 7, 12, 70, 99} {
		got = append(got, niceStep(most))
	}
	if want := []float64{1, 0.2, 1, 2, 10, 20}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
