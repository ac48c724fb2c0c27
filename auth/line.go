package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// line is one usable line of an authorized_keys file (sshd(8), AUTHORIZED_KEYS
// FILE FORMAT).
type line struct {
	key ssh.PublicKey
	// place is where the line stands, for messages.
	place string
	// from is nil if the key may be used from everywhere.
	from *addressList
	// expires is zero if the key may be used at all times. It ends at this
	// moment.
	expires time.Time
}

// allows says whether the line's options let the key be used, and if not, why.
func (l *line) allows(client netip.Addr, now time.Time) (bool, string) {
	if !l.expires.IsZero() && !now.Before(l.expires) {
		return false, fmt.Sprintf("%s: the key expired on %s", l.place, l.expires.Format(time.DateTime))
	}
	if l.from != nil && !l.from.matches(client) {
		return false, fmt.Sprintf("%s: the key may not be used from %s", l.place, client)
	}
	return true, l.place
}

// parseLine reads one line. It returns nil without an error for a line that is
// blank or a comment.
//
// An option that can't be enforced here makes the whole line an error: a key
// must never open more than its line says.
func parseLine(text, place string) (*line, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if text == "" || text[0] == '#' {
		return nil, nil
	}
	if strings.ContainsAny(text, "\n\r") {
		return nil, errors.New("must be a single line")
	}
	if strings.HasPrefix(text, "-----BEGIN ") || strings.Contains(text, "PRIVATE KEY") {
		return nil, errors.New("is part of a PEM file; the public key is wanted, the one line of the .pub file")
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return nil, errors.New("is no public key; it should look like \"ssh-ed25519 AAAA… comment\"")
	}
	l := &line{key: key, place: place}
	seen := map[string]bool{}
	for _, option := range options {
		name, value, hasValue := strings.Cut(option, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if seen[name] {
			return nil, fmt.Errorf("has the option %s twice", name)
		}
		seen[name] = true
		if hasValue {
			if value, err = unquote(value); err != nil {
				return nil, fmt.Errorf("option %s: %w", name, err)
			}
		}
		switch name {
		case "from":
			l.from, err = parseAddressList(value)
		case "expiry-time":
			l.expires, err = parseExpiry(value)
		case "cert-authority":
			return nil, errors.New("option cert-authority: certificates are not supported; the key is not used as a plain key either")
		default:
			return nil, fmt.Errorf("option %s can't be enforced here, so the key is not accepted; options that can are from and expiry-time", name)
		}
		if err != nil {
			return nil, fmt.Errorf("option %s: %w", name, err)
		}
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, errors.New("is a certificate, which are not supported; list the plain key")
	}
	return l, nil
}

// unquote takes the quotes of an option's value away. Within, a quote is
// written \".
func unquote(value string) (string, error) {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return "", errors.New("the value must be in double quotes")
	}
	return strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`), nil
}

// parseExpiry reads YYYYMMDD[HHMM[SS]], in UTC with a Z behind it, otherwise in
// local time.
func parseExpiry(value string) (time.Time, error) {
	location := time.Local
	digits := value
	if strings.HasSuffix(value, "Z") {
		location = time.UTC
		digits = strings.TrimSuffix(value, "Z")
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) == len(layout) {
			if t, err := time.ParseInLocation(layout, digits, location); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; write YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC", value)
}

// addressList is the value of the option from: comma-separated addresses, which
// may have * and ? in them, and networks; a ! in front refuses what matches.
type addressList struct{ patterns []addressPattern }

type addressPattern struct {
	refuse bool
	// network is set for an address with a mask length, otherwise glob.
	network netip.Prefix
	glob    string
}

func parseAddressList(value string) (*addressList, error) {
	l := &addressList{}
	for _, text := range strings.Split(value, ",") {
		p := addressPattern{}
		text, p.refuse = strings.CutPrefix(strings.ToLower(text), "!")
		switch {
		case text == "":
			return nil, errors.New("has an empty entry")
		case strings.Trim(text, "0123456789abcdef.:*?/") != "":
			// Leaving it out could let somebody in whom a ! was to keep out.
			return nil, fmt.Errorf("%q is a host name, which are not looked up; write addresses", text)
		case strings.Contains(text, "/"):
			network, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("%q is no network", text)
			}
			if network != network.Masked() {
				return nil, fmt.Errorf("%q has bits set beyond its mask; did you mean %s?", text, network.Masked())
			}
			p.network = network
		default:
			// So that each way to write an IPv6 address matches.
			if address, err := netip.ParseAddr(text); err == nil {
				text = address.Unmap().String()
			}
			p.glob = text
		}
		l.patterns = append(l.patterns, p)
	}
	return l, nil
}

func (l *addressList) matches(client netip.Addr) bool {
	client = client.Unmap().WithZone("")
	found := false
	for _, p := range l.patterns {
		var match bool
		if p.network.IsValid() {
			match = p.network.Contains(client)
		} else {
			match, _ = path.Match(p.glob, client.String())
		}
		if match && p.refuse {
			return false
		}
		found = found || match
	}
	return found
}
