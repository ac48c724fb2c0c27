package settings

import (
	"fmt"
	"slices"
	"strings"
)

// Nearest returns the candidate that somebody who wrote word may have meant,
// or "" if none is near.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// OneOf returns nil if value is among the allowed ones, and otherwise an error
// that lists them, with the nearest one as a suggestion.
func OneOf(value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	list := strings.Join(allowed, ", ")
	if near := Nearest(value, allowed); near != "" {
		return fmt.Errorf("%q is not known; did you mean %q? (one of %s)", value, near, list)
	}
	return fmt.Errorf("%q is not known; use one of %s", value, list)
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that lead from a to b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
