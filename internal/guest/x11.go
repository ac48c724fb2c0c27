//go:build linux

package guest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/berth-ssh/berth/agentproto"
)

// The families of addresses in a file of X authority (Xau(3)).
const (
	familyLocal = 256
	familyWild  = 65535
)

// offerDisplay writes the display's cookie to a file of its own, and adds to env
// what X clients need to find both. The file goes with remove.
func offerDisplay(x *agentproto.X11, user account, env []string) (_ []string, remove func(), err error) {
	var dir string
	err = user.do(func() (err error) {
		if dir, err = privateDirectory(); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "Xauthority"), authority(x), 0o600)
	})
	if err != nil {
		return env, func() {}, err
	}
	set := func(name, value string) { env = setenv(env, name, name+"="+value) }
	set("DISPLAY", fmt.Sprintf("localhost:%d.%d", x.Display, x.Screen))
	set("XAUTHORITY", filepath.Join(dir, "Xauthority"))
	return env, func() { _ = user.do(func() error { return os.RemoveAll(dir) }) }, nil
}

// authority is the content of the file: for the loopback address clients look
// for the local machine's name, and take an entry for any address too.
func authority(x *agentproto.X11) []byte {
	var file []byte
	entry := func(family uint16, fields ...string) {
		file = binary.BigEndian.AppendUint16(file, family)
		for _, field := range fields {
			file = binary.BigEndian.AppendUint16(file, uint16(len(field)))
			file = append(file, field...)
		}
	}
	display := strconv.FormatUint(uint64(x.Display), 10)
	if name, err := os.Hostname(); err == nil {
		entry(familyLocal, name, display, x.Protocol, x.Cookie)
	}
	entry(familyWild, "", display, x.Protocol, x.Cookie)
	return file
}
