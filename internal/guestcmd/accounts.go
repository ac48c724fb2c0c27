//go:build linux

package guestcmd

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// account is a line of /etc/passwd or, with its gid only, of /etc/group.
type account struct {
	name     string
	uid, gid int
	home     string
	members  []string // of a group
}

// users lists /etc/passwd (passwd(5)); lines that it can't have are skipped.
func users() []account {
	var list []account
	for _, f := range colonFile("/etc/passwd", 7) {
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 == nil && err2 == nil {
			list = append(list, account{name: f[0], uid: uid, gid: gid, home: f[5]})
		}
	}
	return list
}

// groups lists /etc/group (group(5)).
func groups() []account {
	var list []account
	for _, f := range colonFile("/etc/group", 4) {
		if gid, err := strconv.Atoi(f[2]); err == nil {
			list = append(list, account{name: f[0], gid: gid, members: strings.Split(f[3], ",")})
		}
	}
	return list
}

func colonFile(path string, fields int) [][]string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var list [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := strings.Split(s.Text(), ":"); len(line) >= fields {
			list = append(list, line)
		}
	}
	return list
}

// userByName finds a user.
func userByName(name string) (account, bool) {
	for _, u := range users() {
		if u.name == name {
			return u, true
		}
	}
	return account{}, false
}

// groupByName finds a group's id.
func groupByName(name string) (gid int, ok bool) {
	for _, g := range groups() {
		if g.name == name {
			return g.gid, true
		}
	}
	return 0, false
}

func userName(uid int) string {
	for _, u := range users() {
		if u.uid == uid {
			return u.name
		}
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	for _, g := range groups() {
		if g.gid == gid {
			return g.name
		}
	}
	return strconv.Itoa(gid)
}
