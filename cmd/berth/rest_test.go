package main

import "testing"

// Memory is given back once after each rush, and not while one goes on.
func TestRest(t *testing.T) {
	var r rest
	for i, step := range []struct {
		allocated uint64 // MiB, in all
		want      bool
	}{
		{1, false},  // the start
		{1, false},  // nothing to give back
		{60, false}, // a rush
		{120, false},
		{121, true}, // it is over
		{122, false},
		{125, false},
		{150, false}, // too little
		{151, false},
		{155, false},
		{158, true}, // but that adds up
		{158, false},
	} {
		if got := r.look(step.allocated << 20); got != step.want {
			t.Errorf("step %d, %d MiB: %v, want %v", i, step.allocated, got, step.want)
		}
	}
}
