package settings

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	Interval time.Duration `yaml:"interval"`
	Big      *int64        `yaml:"big"`
}

type inlined struct {
	Name string `yaml:"name"`
}

type outer struct {
	Inlined inlined           `yaml:",inline"`
	Inner   inner             `yaml:"inner"`
	List    []string          `yaml:"list"`
	Names   map[string]uint16 `yaml:"names"`
	Skipped string            `yaml:"-"`
	private string
}

// gopkg.in/yaml.v2 and v3 hand over maps of any keys, and Go's own numbers.
func TestUnmarshalYAMLOfAnyMake(t *testing.T) {
	var got outer
	err := UnmarshalYAML(func(into any) error {
		*into.(*any) = map[any]any{
			"name":  7,
			"inner": map[string]any{"interval": int64(5), "big": uint64(1 << 53)},
			"list":  []any{"a", 1.5},
			"names": map[any]any{80: 8080},
		}
		return nil
	}, &got)
	if err != nil {
		t.Fatal(err)
	}
	big := int64(1 << 53)
	want := outer{
		Inlined: inlined{"7"}, Inner: inner{5, &big}, List: []string{"a", "1.5"}, Names: map[string]uint16{"80": 8080},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outer{})); diff != "" {
		t.Error(diff)
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"65535": "", "0xffff": "", "0o17": "", "0b1": "", "1_000": "", "1e3": "", "1.0": "",
		"65536": "too large", "-1": "negative", "1.5": "whole", "1e999999999": "whole", "x": "whole", ".nan": "whole",
	} {
		var got outer
		err := Decode(map[string]any{"names": map[string]any{"n": json.Number(text)}}, &got, true)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want something with %q", text, err, want)
		}
	}
}

func TestStrictKeys(t *testing.T) {
	for key, want := range map[string]string{
		"lst":      `did you mean "list"?`,
		"LIST":     `did you mean "list"?`,
		"interval": `did you mean "interval" in "inner"?`,
		"Skipped":  "known here: name, inner, list, names",
		"private":  "known here: ",
	} {
		var got outer
		err := Decode(map[string]any{key: "x"}, &got, true)
		list := List(err)
		if len(list) != 1 || !list[0].Unknown || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want something with %q", key, err, want)
		}
		if got.private != "" || got.Skipped != "" {
			t.Errorf("%s: reached %+v", key, got)
		}
	}
	var got outer
	if err := Decode(map[string]any{"unknown": "x", "LIST": []any{"y"}}, &got, false); err != nil || len(got.List) != 1 {
		t.Errorf("not strict: %+v, %v", got, err)
	}
}

func TestPaths(t *testing.T) {
	var errs Errors
	errs.Add("a.b", "first")
	var below Errors
	below.Add("[0]", "second")
	errs.Under("list", below.Err())
	errs.Under("none", nil)
	if got, want := errs.Err().Error(), "a.b: first\nlist[0]: second"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if (Errors)(nil).Err() != nil {
		t.Error("an error without errors")
	}
}

func TestNearest(t *testing.T) {
	words := []string{"connection", "session", "Always"}
	for word, want := range map[string]string{
		"conection": "connection", "sesion": "session", "always": "Always", "esssion": "session", "magic": "", "": "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 0: "0s", time.Hour + time.Second: "1h0m1s", 1: "1ns",
		10 * time.Minute: "10m", 20 * time.Hour: "20h",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
		if again, err := time.ParseDuration(FormatDuration(d)); err != nil || again != d {
			t.Errorf("%s is not read again: %s, %v", d, again, err)
		}
	}
}
