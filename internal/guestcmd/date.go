//go:build linux

package guestcmd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// parseTime parses a time as touch and date take it.
func parseTime(s string) (time.Time, error) {
	now := time.Now()
	switch s {
	case "now":
		return now, nil
	case "today":
		return now, nil
	case "yesterday":
		return now.AddDate(0, 0, -1), nil
	case "tomorrow":
		return now.AddDate(0, 0, 1), nil
	}
	if sec, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseFloat(sec, 64)
		if err == nil {
			return time.Unix(0, int64(n*1e9)), nil
		}
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04",
		"2006-01-02", time.RFC1123Z, time.RFC1123, time.UnixDate,
	} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.Local), nil
		}
	}
	return now, fmt.Errorf("invalid date '%s'", s)
}

func runDate(c *call) int {
	t := time.Now()
	format := "%a %b %e %H:%M:%S %Z %Y"
	utc := false
	args := c.args
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		value := func(short, long string) (string, bool) {
			if v, ok := strings.CutPrefix(arg, long+"="); ok {
				return v, true
			}
			if arg == short || arg == long {
				if len(args) == 0 {
					return "", false
				}
				v := args[0]
				args = args[1:]
				return v, true
			}
			if v, ok := strings.CutPrefix(arg, short); ok && !strings.HasPrefix(arg, "--") {
				return v, true
			}
			return "", false
		}
		switch {
		case strings.HasPrefix(arg, "+"):
			format = arg[1:]
		case arg == "-u" || arg == "--utc":
			utc = true
		case arg == "-R" || arg == "--rfc-email":
			format = "%a, %d %b %Y %H:%M:%S %z"
		case strings.HasPrefix(arg, "-I"):
			switch arg[2:] {
			case "", "date":
				format = "%Y-%m-%d"
			case "hours":
				format = "%Y-%m-%dT%H%:z"
			case "minutes":
				format = "%Y-%m-%dT%H:%M%:z"
			case "seconds":
				format = "%Y-%m-%dT%H:%M:%S%:z"
			default:
				return c.die("invalid argument '%s' for -I", arg[2:])
			}
		case strings.HasPrefix(arg, "-d") || strings.HasPrefix(arg, "--date"):
			v, ok := value("-d", "--date")
			if !ok {
				return c.die("option -d needs an argument")
			}
			parsed, err := parseTime(v)
			if err != nil {
				return c.die("%v", err)
			}
			t = parsed
		case strings.HasPrefix(arg, "-r"):
			v, ok := value("-r", "--reference")
			if !ok {
				return c.die("option -r needs an argument")
			}
			info, err := os.Stat(v)
			if err != nil {
				return c.die("%s: %s", v, reason(err))
			}
			t = info.ModTime()
		default:
			return c.die("unknown argument '%s'; date --help tells more", arg)
		}
	}
	if utc {
		t = t.UTC()
	} else {
		t = t.Local()
	}
	c.println(formatTime(t, format))
	return 0
}

// formatTime is strftime in the C locale.
func formatTime(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		pad := byte(0)
		if strings.IndexByte("-_0:", format[i]) >= 0 && i+1 < len(format) {
			pad = format[i]
			i++
		}
		number := func(n, width int, fill byte) {
			if pad == '-' {
				width = 0
			} else if pad == '_' {
				fill = ' '
			} else if pad == '0' {
				fill = '0'
			}
			s := strconv.Itoa(n)
			for range width - len(s) {
				b.WriteByte(fill)
			}
			b.WriteString(s)
		}
		hour12 := (t.Hour()+11)%12 + 1
		isoYear, isoWeek := t.ISOWeek()
		switch format[i] {
		case 'a':
			b.WriteString(t.Format("Mon"))
		case 'A':
			b.WriteString(t.Format("Monday"))
		case 'b', 'h':
			b.WriteString(t.Format("Jan"))
		case 'B':
			b.WriteString(t.Format("January"))
		case 'c':
			b.WriteString(t.Format("Mon Jan _2 15:04:05 2006"))
		case 'C':
			number(t.Year()/100, 2, '0')
		case 'd':
			number(t.Day(), 2, '0')
		case 'D', 'x':
			b.WriteString(t.Format("01/02/06"))
		case 'e':
			number(t.Day(), 2, ' ')
		case 'F':
			b.WriteString(t.Format("2006-01-02"))
		case 'g':
			number(isoYear%100, 2, '0')
		case 'G':
			number(isoYear, 4, '0')
		case 'H':
			number(t.Hour(), 2, '0')
		case 'I':
			number(hour12, 2, '0')
		case 'j':
			number(t.YearDay(), 3, '0')
		case 'k':
			number(t.Hour(), 2, ' ')
		case 'l':
			number(hour12, 2, ' ')
		case 'm':
			number(int(t.Month()), 2, '0')
		case 'M':
			number(t.Minute(), 2, '0')
		case 'n':
			b.WriteByte('\n')
		case 'N':
			number(t.Nanosecond(), 9, '0')
		case 'p':
			b.WriteString(t.Format("PM"))
		case 'P':
			b.WriteString(t.Format("pm"))
		case 'r':
			b.WriteString(t.Format("03:04:05 PM"))
		case 'R':
			b.WriteString(t.Format("15:04"))
		case 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case 'S':
			number(t.Second(), 2, '0')
		case 't':
			b.WriteByte('\t')
		case 'T', 'X':
			b.WriteString(t.Format("15:04:05"))
		case 'u':
			number((int(t.Weekday())+6)%7+1, 1, '0')
		case 'V':
			number(isoWeek, 2, '0')
		case 'w':
			number(int(t.Weekday()), 1, '0')
		case 'y':
			number(t.Year()%100, 2, '0')
		case 'Y':
			number(t.Year(), 4, '0')
		case 'z':
			if pad == ':' {
				b.WriteString(t.Format("-07:00"))
			} else {
				b.WriteString(t.Format("-0700"))
			}
		case 'Z':
			b.WriteString(t.Format("MST"))
		case '%':
			b.WriteByte('%')
		default:
			b.WriteByte('%')
			b.WriteByte(format[i])
		}
	}
	return b.String()
}
