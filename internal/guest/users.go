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
	groups   []uint32
	home     string
	shell    string // empty if nothing says which
}

// maxDatabase bounds what is read of /etc/passwd and /etc/group.
const maxDatabase = 4 << 20

// findAccount looks a user up by name or number. Empty means who the agent runs
// as. A number, and the agent's own user, need no entry.
func findAccount(who string) (account, error) {
	uid, isNumber := uint32(os.Getuid()), who == ""
	if n, err := strconv.ParseUint(who, 10, 32); err == nil {
		uid, isNumber = uint32(n), true
	}
	var found *account
	eachEntry("/etc/passwd", 7, func(f []string) bool {
		id, err1 := strconv.ParseUint(f[2], 10, 32)
		group, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil || f[0] != who && !(isNumber && uint32(id) == uid) {
			return true
		}
		found = &account{name: f[0], uid: uint32(id), gid: uint32(group), home: f[5], shell: f[6]}
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
	eachEntry("/etc/group", 4, func(f []string) bool {
		id, err := strconv.ParseUint(f[2], 10, 32)
		if err == nil && slices.Contains(strings.Split(f[3], ","), found.name) {
			found.groups = append(found.groups, uint32(id))
		}
		return true
	})
	return *found, nil
}

// eachEntry calls do with the fields of each line of a file as passwd(5), until
// it returns false. A file that can't be read has no lines.
func eachEntry(path string, fields int, do func([]string) bool) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxDatabase))
	for lines.Scan() {
		entry := strings.Split(lines.Text(), ":")
		if len(entry) == fields && !do(entry) {
			return
		}
	}
}
