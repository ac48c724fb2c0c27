package settings

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

func TestUnknown(t *testing.T) {
	tree, err := FromJSON([]byte(`{
		"one": 1, "two": {"Image": "x", "nosuchkey": {"a": 1}, "labels": {"any": "b"}, "Healthcheck": {"Interval": 1, "other": 2}},
		"list": [{"name": "a"}, {"nam": "b"}], "many": {"x": {"name": "a", "else": 1}}, "when": "1s", "more": 3}`))
	if err != nil {
		t.Fatal(err)
	}
	type inner struct {
		Name string `yaml:"name"`
	}
	type outer struct {
		One  int               `yaml:"one"`
		Two  *container.Config `yaml:"two"`
		List []inner           `yaml:"list"`
		Many map[string]*inner `yaml:"many"`
		When time.Duration     `yaml:"when"`
	}
	var got []string
	for _, p := range Unknown(tree, reflect.TypeFor[*outer]()) {
		got = append(got, p.String())
	}
	want := []string{"list[1].nam", "many.x.else", "more", "two.Healthcheck.other", "two.nosuchkey"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
