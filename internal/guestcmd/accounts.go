//go:build linux

package guestcmd

import (
	"strconv"
	"strings"
)

// account is a line of /etc/passwd.
type account struct {
	name, home string
	uid, gid   int
}

// groupEntry is a line of /etc/group.
type groupEntry struct {
	name    string
	gid     int
	members []string
}

func users() []account {
	var all []account
	for _, line := range lines("/etc/passwd") {
		f := strings.Split(line, ":")
		if len(f) < 6 {
			continue
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 == nil && err2 == nil {
			all = append(all, account{name: f[0], home: f[5], uid: uid, gid: gid})
		}
	}
	return all
}

func groups() []groupEntry {
	var all []groupEntry
	for _, line := range lines("/etc/group") {
		f := strings.Split(line, ":")
		if len(f) < 4 {
			continue
		}
		if gid, err := strconv.Atoi(f[2]); err == nil {
			all = append(all, groupEntry{name: f[0], gid: gid, members: strings.Split(f[3], ",")})
		}
	}
	return all
}

func userByName(name string) (account, bool) {
	for _, u := range users() {
		if u.name == name {
			return u, true
		}
	}
	return account{}, false
}

func userByID(uid int) (account, bool) {
	for _, u := range users() {
		if u.uid == uid {
			return u, true
		}
	}
	return account{}, false
}

func groupByName(name string) (gid int, ok bool) {
	for _, g := range groups() {
		if g.name == name {
			return g.gid, true
		}
	}
	return 0, false
}

// UserName is the name of a user, its number if it has none.
func UserName(uid int) string {
	if u, ok := userByID(uid); ok {
		return u.name
	}
	return strconv.Itoa(uid)
}

// UserHome is the home directory of a user, "/" if it is unknown.
func UserHome(uid int) string {
	if u, ok := userByID(uid); ok && u.home != "" {
		return u.home
	}
	return "/"
}

func groupName(gid int) string {
	for _, g := range groups() {
		if g.gid == gid {
			return g.name
		}
	}
	return strconv.Itoa(gid)
}
