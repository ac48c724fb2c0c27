package sshserver

import (
	"fmt"
	"strconv"
	"strings"
)

// Startups bounds the connections that have not logged in yet, of all clients
// together, in the manner of OpenSSH's MaxStartups: up to Start of them, all are
// taken; from then on new ones are refused at random, first Rate in a hundred,
// then more and more; beyond Full, all are. So whoever fills the places of those
// who have not logged in keeps nobody out for certain: another try may get in.
//
// The zero value means DefaultStartups; a negative Start means no limit.
type Startups struct{ Start, Rate, Full int }

// DefaultStartups is the default of Server.MaxStartups. A class of a hundred that
// logs in at the same moment gets in, twice over: OpenSSH's 10:30:100 would turn
// most of them away. What 500 clients can make the server hold before they log in
// is bounded, see docs/limits.md.
var DefaultStartups = Startups{Start: 200, Rate: 30, Full: 500}

// startupsNone is the text of no limit.
const startupsNone = "none"

// MarshalText writes "start:rate:full", or "none".
func (s Startups) MarshalText() ([]byte, error) {
	if s.Start < 0 {
		return []byte(startupsNone), nil
	}
	return fmt.Appendf(nil, "%d:%d:%d", s.Start, s.Rate, s.Full), nil
}

// UnmarshalText reads "start:rate:full"; a number alone, beyond which all are
// refused; or "none".
func (s *Startups) UnmarshalText(text []byte) error {
	if string(text) == startupsNone {
		*s = Startups{Start: -1}
		return nil
	}
	var numbers []int
	for _, field := range strings.Split(string(text), ":") {
		n, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("%q must be start:rate:full, such as %d:%d:%d, a number, or %s",
				text, DefaultStartups.Start, DefaultStartups.Rate, DefaultStartups.Full, startupsNone)
		}
		numbers = append(numbers, n)
	}
	var read Startups
	switch len(numbers) {
	case 1:
		read = Startups{numbers[0], 100, numbers[0]}
	case 3:
		read = Startups{numbers[0], numbers[1], numbers[2]}
	default:
		return fmt.Errorf("%q has %d numbers; write start:rate:full, or one number", text, len(numbers))
	}
	if read.Start < 0 {
		return fmt.Errorf("%q: the start is negative; write %s for no limit", text, startupsNone)
	}
	if err := read.Validate(); err != nil {
		return err
	}
	*s = read
	return nil
}

// Validate says what is wrong with the numbers.
func (s Startups) Validate() error {
	switch {
	case s == Startups{} || s.Start < 0:
		return nil
	case s.Start == 0:
		return fmt.Errorf("the start is 0: nobody could log in")
	case s.Rate < 0 || s.Rate > 100:
		return fmt.Errorf("the rate is %d; it is a percentage, from 0 to 100", s.Rate)
	case s.Full < s.Start:
		return fmt.Errorf("full is %d, which is below the start, %d", s.Full, s.Start)
	}
	return nil
}

// refuses says whether one more is refused where there are n. roll is random,
// from 0 to 99.
func (s Startups) refuses(n, roll int) bool {
	switch {
	case s.Start < 0 || n < s.Start:
		return false
	case n >= s.Full:
		return true
	}
	return roll < s.Rate+(100-s.Rate)*(n-s.Start)/(s.Full-s.Start)
}
