package testguest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// guestPath is the search path in all guests; Debian's /etc/profile gives root
// the same, so that login shells and others agree.
const guestPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

var debian = kind{name: "debian", recipe: debianRecipe}

// debianPackages come on top of the essential ones, which hold bash, coreutils,
// ncurses and perl. openssh-server brings sftp-server and scp, too.
const debianPackages = "procps,vim,less,openssh-server,xclip,rsync,git,tmux,python3"

// debianFiles replace what the distribution has, so that a shell looks the same
// whether or not it is a login shell, and nothing of the host is left.
var debianFiles = []struct{ path, content string }{
	{"etc/apt/sources.list", ""},
	{"etc/hostname", "guest\n"},
	{"etc/resolv.conf", ""},
	{"etc/motd", ""},
	{"root/.profile", "[ -z \"$BASH\" ] || . ~/.bashrc\n"},
	{"root/.bashrc", `# Debian's bash reads this also when it is run by sshd for one command.
case $- in *i*) ;; *) return ;; esac
PS1='guest\$ '
unset HISTFILE MAIL MAILCHECK
`},
}

// debianDirs are emptied: they are large, or belong to the machine. Stars stand
// for a release's own numbers. Of perl there is left what the essential packages
// hold; git and vim need no more for what tests do.
var debianDirs = []string{
	"dev", "proc", "sys", "tmp", "var/cache/apt", "var/cache/debconf", "var/lib/apt/lists", "var/log",
	"usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/zoneinfo",
	"usr/share/perl", "usr/lib/*/perl/5.*", "usr/lib/python3*/pydoc_data",
	"usr/share/vim/vim*/doc", "usr/share/vim/vim*/lang", "usr/share/vim/vim*/spell", "usr/share/vim/vim*/tutor",
}

func debianRecipe(ctx context.Context) (recipe, error) {
	suite, err := suite()
	if err != nil {
		return recipe{}, err
	}
	r := recipe{
		name: "debian",
		hash: hash("debian 2", suite, runtime.GOARCH, debianPackages, guestPath, fmt.Sprint(debianFiles, debianDirs)),
		config: runConfig{
			Env:        []string{"PATH=" + guestPath, "LANG=C.UTF-8"},
			Cmd:        []string{"/bin/bash"},
			WorkingDir: "/root",
		},
	}
	r.layer = func(ctx context.Context) (layer, error) {
		path, err := ensureFile(ctx, r.name+"-"+r.hash+".tar", func(path string) error {
			return debootstrap(ctx, suite, path)
		})
		return layer{path: path}, err
	}
	return r, nil
}

// debootstrap makes the tree and writes it to the tar at path.
func debootstrap(ctx context.Context, suite, path string) error {
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return errors.New("debootstrap is not installed: run \"make setup\"")
	}
	if os.Getuid() != 0 {
		return errors.New("only root can run debootstrap: run \"go test ./internal/testguest\" as root once, then every user of the engine has the guest")
	}
	mirror, err := mirror(ctx, suite)
	if err != nil {
		return err
	}
	tree, err := os.MkdirTemp(filepath.Dir(path), "debootstrap-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	// A umask of the caller must not reach into the guest.
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include="+debianPackages, suite, tree, mirror)
	cmd.Env = append(os.Environ(), aptProxy(ctx)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap: %w\n%s", err, lastLines(out, 15))
	}
	// The same user as in the other guests, beside root.
	if out, err := exec.CommandContext(ctx, "chroot", tree, "useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", "guest").CombinedOutput(); err != nil {
		return fmt.Errorf("useradd: %w\n%s", err, lastLines(out, 5))
	}
	for _, pattern := range debianDirs {
		dirs, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			if err := emptyDir(dir); err != nil {
				return err
			}
		}
	}
	for _, f := range debianFiles {
		p := filepath.Join(tree, f.path)
		// What is there may be a link to a place outside of the tree.
		if err := os.RemoveAll(p); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(f.content), 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(tree, "run/sshd"), 0o755); err != nil {
		return err
	}
	if keys, err := filepath.Glob(filepath.Join(tree, "etc/ssh/ssh_host_*")); err != nil {
		return err
	} else {
		for _, k := range keys {
			if err := os.Remove(k); err != nil {
				return err
			}
		}
	}
	// The system's tar knows hard links, owners and modes without our help.
	out, err := exec.CommandContext(ctx, "tar", "--numeric-owner", "--format=pax", "-C", tree, "-cf", path, ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("tar: %w\n%s", err, lastLines(out, 5))
	}
	return nil
}

// suite is the code name of the distribution's release that this machine runs,
// since that is what its mirror is sure to have.
func suite() (string, error) {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("the Debian guest is made on Debian and its kin: %w", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VERSION_CODENAME="); ok {
			if u, err := strconv.Unquote(v); err == nil {
				v = u
			}
			return v, nil
		}
	}
	return "", errors.New("the Debian guest is made on Debian and its kin: no VERSION_CODENAME in /etc/os-release")
}

// mirror is where this machine gets its own packages from.
func mirror(ctx context.Context, suite string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for the machine's mirror: %w", err)
	}
	for _, line := range strings.Split(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == suite && f[1] == "main" {
			return f[2], nil
		}
	}
	return "", fmt.Errorf("apt has no source for %s main: add one to /etc/apt/sources.list", suite)
}

// aptProxy gives debootstrap, which downloads by itself, the proxy that apt is
// configured to use.
func aptProxy(ctx context.Context) []string {
	var env []string
	for _, scheme := range []string{"http", "https"} {
		out, err := exec.CommandContext(ctx, "apt-config", "shell", "P", "Acquire::"+scheme+"::Proxy").Output()
		if err != nil {
			continue
		}
		// The answer is empty or P='http://…'.
		if v, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "P="); ok {
			if v = strings.Trim(v, "'"); v != "" && v != "DIRECT" {
				env = append(env, scheme+"_proxy="+v)
			}
		}
	}
	return env
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func lastLines(out []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
