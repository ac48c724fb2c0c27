package forwards

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/internal/testguest"
)

// xServer is a display without a screen, that only who has the cookie may use.
func xServer(t *testing.T) (env []string) {
	t.Helper()
	for program, from := range map[string]string{"Xvfb": "xvfb", "xauth": "xauth", "xclip": "xclip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("LOUD: X11 is not tested without %s: \"make setup\" installs Debian's package %s", program, from)
		}
	}
	authority := filepath.Join(t.TempDir(), "Xauthority")
	// The display's number is not known before it runs, and the cookie is read
	// when it starts: the entry is for number 0 first, which does for the server.
	cookie := fmt.Sprintf("%x", randomBytes(16))
	add := func(display string) {
		cmd := exec.Command("xauth", "add", display, "MIT-MAGIC-COOKIE-1", cookie)
		cmd.Env = append(os.Environ(), "XAUTHORITY="+authority)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("xauth: %v: %s", err, out)
		}
	}
	add(":0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "64x64x24", "-nolisten", "tcp", "-auth", authority)
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb does not say its display: %v", err)
	}
	display := ":" + strings.TrimSpace(number)
	add(display)
	return []string{"XAUTHORITY=" + authority, "DISPLAY=" + display}
}

// ssh -X and -Y: an X client in the container uses the display, with a cookie
// that the image's programs need not know how to store.
func TestX11(t *testing.T) {
	t.Parallel()
	env := xServer(t)
	set := exec.Command("xclip", "-quiet", "-selection", "clipboard")
	set.Env, set.Stdin = append(os.Environ(), env...), strings.NewReader("copied at the display")
	if err := set.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = set.Process.Kill()
		_ = set.Wait()
	})
	for name, execution := range map[string]string{"root": "container: {image: IMAGE}", "somebody": "shellCommand: [/bin/bash]\ncontainer: {image: IMAGE, user: nobody}"} {
		for _, option := range []string{"-Y", "-X"} {
			t.Run(name+option, func(t *testing.T) {
				image := testguest.Debian(t)
				server := serverOf(t, image, "", strings.Replace(execution, "IMAGE", image, 1))
				m := newMasterWith(t, server, env, option)
				// Under -X the clipboard of others is out of reach (the X
				// security extension): to be let in at all is what is shown.
				command, want := "xclip -o -selection clipboard", "copied at the display"
				if option == "-X" {
					command, want = "echo $DISPLAY; echo x | timeout 5 xclip -loops 0 -quiet -i; ls -l $XAUTHORITY | cut -c1-10", "localhost:10.0\n"
				}
				out, stderr, _ := m.output([]string{option}, command)
				if !strings.HasPrefix(out, want) {
					t.Errorf("%q, %q; want %q", out, stderr, want)
				}
			})
		}
	}
}
