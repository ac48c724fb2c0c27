//go:build linux

package guest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// account is a user of the container.
type account struct {
	name     string
	uid, gid uint32
	groups   []uint32 // further ones; none for the account that the agent runs as
	home     string
	shell    string // empty if nothing says which
}

// maxDatabase bounds what is read of /etc/passwd and /etc/group.
const maxDatabase = 4 << 20

// userDatabases are the files that say who there is.
type userDatabases struct{ passwd, group string }

// imageUsers are the container's.
var imageUsers = userDatabases{"/etc/passwd", "/etc/group"}

// noID is what the kernel takes for "no change" where an identity is taken on:
// nobody can have it.
const noID = 1<<32 - 1

// find looks a user up by name or number. Empty means who the agent runs as. A
// number, and the agent's own user, need no entry.
func (d userDatabases) find(who string) (account, error) {
	uid, isNumber := uint32(os.Getuid()), who == ""
	if n, err := parseID(who); err == nil {
		uid, isNumber = n, true
	}
	var found *account
	eachEntry(d.passwd, 7, func(f []string) bool {
		id, err1 := parseID(f[2])
		group, err2 := parseID(f[3])
		if err1 != nil || err2 != nil || f[0] == "" || f[0] != who && !(isNumber && id == uid) {
			return true
		}
		found = &account{name: f[0], uid: id, gid: group, home: f[5], shell: f[6]}
		return false
	})
	switch {
	case found != nil:
	case isNumber:
		found = &account{name: strconv.FormatUint(uint64(uid), 10), uid: uid}
		if int(uid) == os.Getuid() {
			found.gid = uint32(os.Getgid())
		}
	default:
		return account{}, fmt.Errorf("there is no user %q in this image", who)
	}
	if found.home == "" {
		found.home = "/"
	}
	if found.isSelf() {
		return *found, nil // whose groups programs have anyway
	}
	eachEntry(d.group, 4, func(f []string) bool {
		id, err := parseID(f[2])
		if err == nil && slices.Contains(strings.Split(f[3], ","), found.name) {
			found.groups = append(found.groups, id)
		}
		return true
	})
	return *found, nil
}

func parseID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if id == noID {
		err = strconv.ErrRange
	}
	return uint32(id), err
}

// eachEntry calls do with the fields of each line of a file as passwd(5), until
// it returns false. A file that can't be read has no lines; a line with a NUL
// says nothing, since no program could be told of it.
func eachEntry(path string, fields int, do func([]string) bool) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxDatabase))
	lines.Buffer(nil, maxDatabase+1) // a group may have many members
	for lines.Scan() {
		entry := strings.Split(lines.Text(), ":")
		if len(entry) == fields && !strings.Contains(lines.Text(), "\x00") && !do(entry) {
			return
		}
	}
}
