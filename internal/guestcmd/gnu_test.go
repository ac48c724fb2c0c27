//go:build linux

package guestcmd_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/internal/guestcmd"
)

// guest is the built program, which takes a command's name as its first
// argument.
var guest string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "berth-guest-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		guest = filepath.Join(dir, "berth-guest")
		cmd := exec.Command("go", "build", "-o", guest, "github.com/berth-ssh/berth/cmd/berth-guest")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %s\n", err, out)
			return 1
		}
		return m.Run()
	}())
}

// Every command that the issue of this image promises is there, and says what
// it does.
func TestHelp(t *testing.T) {
	for _, name := range strings.Fields(`ls cat cp mv rm mkdir touch find grep head tail wc sort tee env id
		whoami hostname uname ps kill sleep date df stty true false echo pwd printf test`) {
		if _, ok := guestcmd.Lookup(name); !ok {
			t.Errorf("there is no %s", name)
		}
	}
	for _, c := range guestcmd.Commands() {
		out, err := exec.Command(guest, c.Name, "--help").Output()
		if err != nil || !strings.HasPrefix(string(out), "usage: "+c.Name) {
			t.Errorf("%s --help: %v, %q", c.Name, err, out)
		}
	}
}

// tree is what the commands work on.
var tree = map[string]string{
	"fruit":       "pear\napple\nBanana\napple\ncherry\n",
	"numbers":     "10 b\n9 a\n100 c\n9 A\n",
	"no newline":  "one\ntwo",
	"empty":       "",
	"dir/inner":   "inner\n",
	"dir/sub/low": "low apple\n",
	".hidden":     "hidden\n",
}

func makeTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range tree {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("fruit", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// state is what is in a directory.
func state(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v", strings.TrimPrefix(path, dir), info.Mode())
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", content)
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", to)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The commands do what those of the distribution do: the same output, the same
// exit code, and the same files afterwards. A line is a script for the
// distribution's shell, in which the commands come from here or from there.
func TestLikeGNU(t *testing.T) {
	ours := filepath.Join(t.TempDir(), "bin")
	if err := os.Mkdir(ours, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range guestcmd.Commands() {
		if err := os.Symlink(guest, filepath.Join(ours, c.Name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, script := range strings.Split(strings.TrimSpace(scripts), "\n") {
		if script == "" || strings.HasPrefix(script, "#") {
			continue
		}
		t.Run(strings.ReplaceAll(script, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			run := func(path string) (string, string) {
				dir := makeTree(t)
				// env, so that what the shell has built in is a program, too.
				cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
				cmd.Dir = dir
				cmd.Env = []string{"PATH=" + path, "LC_ALL=C", "TZ=UTC", "HOME=/root", "A=b"}
				var stdout, stderr bytes.Buffer
				cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("one two\nthree\n"), &stdout, &stderr
				err := cmd.Run()
				if err != nil && cmd.ProcessState == nil {
					t.Fatal(err)
				}
				result := fmt.Sprintf("exit code %d, says something on standard error: %v\n%s%s",
					cmd.ProcessState.ExitCode(), stderr.Len() > 0, stdout.String(), state(t, dir))
				return strings.ReplaceAll(result, dir, "DIR"), stderr.String()
			}
			want, _ := run("/usr/bin:/bin")
			got, said := run(ours + ":/nowhere")
			if got != want {
				t.Errorf("here:\n%s\nthere:\n%s\nsaid: %s", got, want, said)
			}
		})
	}
}

// tail follows a file, ps shows it doing so, and kill ends it.
func TestProcesses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tail := exec.CommandContext(t.Context(), guest, "tail", "-n", "1", "-f", file)
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "two\n" {
		t.Errorf("first %q, %v", line, err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("three\n")
	f.Close()
	if line, err := lines.ReadString('\n'); line != "three\n" {
		t.Errorf("then %q, %v", line, err)
	}
	pid := strconv.Itoa(tail.Process.Pid)
	list, err := exec.Command(guest, "ps", "-ef").Output()
	if !regexp.MustCompile(`(?m)^\S+ +` + pid + ` .* tail -n 1 -f `).Match(list) {
		t.Errorf("ps does not show %s: %v\n%s", pid, err, list)
	}
	if out, err := exec.Command(guest, "kill", pid).CombinedOutput(); err != nil {
		t.Errorf("kill: %v, %s", err, out)
	}
	if err := tail.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("tail ends with %v", err)
	}
}

const scripts = `
ls
ls -a
ls -A dir
ls -1 -R
ls -d dir fruit
ls nothing
ls -F
ls -r
ls -S fruit numbers empty
touch -d @0 * dir/* dir/sub/*; ls -lR dir
touch -d @0 fruit numbers; ls -ln fruit numbers
touch -d @9 *; touch -d @0 fruit; ls -t fruit numbers
ls fruit nothing dir
cat fruit numbers
cat
cat -n fruit
cat - fruit
cat nothing fruit
cat dir
cp fruit copy
cp fruit numbers dir
cp dir other
cp -r dir other
cp -a link other
cp -p fruit copy
cp fruit fruit
cp nothing other
mv fruit dir
mv fruit renamed
mv fruit numbers
mv dir dir/sub
mv nothing other
rm fruit
rm dir
rm -r dir
rm -f nothing
rm nothing
rm -rf dir fruit nothing
mkdir new
mkdir new/sub
mkdir -p new/sub/low
mkdir dir
mkdir -m 700 new
rmdir dir
touch new fruit
touch -c new
ln -s fruit new
ln fruit new
ln -sf numbers link
chmod 600 fruit
chmod u+x,go-r fruit
chmod -R a-w dir
find . -name '*l*' | sort
find . -type d | sort
find . -type f -name 'f*' -exec cat {} \;
find . -type f | sort | xargs wc -l
find dir -maxdepth 1 | sort
find . -not -name fruit -type f | sort
find . -name low -print0
find . -empty
find . -type f -exec grep -l apple {} + | sort
find . -name dir -prune -o -type f -print | sort
find . \( -name fruit -o -iname NUMBERS \) -print | sort
find dir -delete
find nothing
grep apple fruit
grep -n apple fruit
grep -i banana fruit
grep -v apple fruit
grep -c apple fruit
grep -r apple . | sort
grep -rl apple . | sort
grep -E '^(pear|cherry)$' fruit
grep -q apple fruit
grep -q nothing fruit
grep -F . fruit
grep -o 'a.' fruit
grep -w app fruit
grep apple fruit numbers
grep -h apple fruit numbers
grep -A1 pear fruit
grep -e pear -e cherry fruit
grep -rn apple . | sort
grep 'p\{2\}' fruit
grep '^a\|^p' fruit
grep '[[:upper:]]' fruit
grep -L apple fruit numbers
grep -m 1 apple fruit
grep apple nothing
head -n 2 fruit
head -2 fruit
head -c 7 fruit
head fruit numbers
head -n -2 fruit
head -n 1 nothing fruit
tail -n 2 fruit
tail -n +3 fruit
tail -c 4 fruit
tail fruit numbers
tail -c +3 fruit
tail nothing
tail -n 1 'no newline'
wc fruit
wc -l fruit numbers
wc -c < fruit
wc -w
wc empty
sort fruit
sort -r fruit
sort -u fruit
sort -f fruit
sort -n numbers
sort -k 2 numbers
sort -k 2,2 -k 1,1n numbers
sort -t ' ' -k2r numbers
sort -nu numbers
sort -o numbers numbers
sort -c fruit
sort fruit numbers
sort 'no newline'
sort nothing
uniq fruit
sort fruit | uniq -c
sort fruit | uniq -d
cut -d ' ' -f 2 numbers
cut -c 1-3 fruit
tr a-z A-Z < fruit
tr -d aeiou < fruit
tee copy < fruit
tee -a fruit
echo x | tee -a fruit numbers
tee nowhere/x < fruit
seq 5
seq 2 3 11
seq 3 -1 1
env -i A=1 env
env B=2 env | grep '^B='
env nothing
env -u A env | grep -c '^A='
env false
printf '%s-%d\n' a 1 b 2
env printf 'a\tb\n'
env printf '%5s|%-5s|%05d|%x|%%\n' a b 42 255
env echo -e 'a\tb\\n'
env test -s empty
env test 1 -eq x
env test
env [ a = a
env echo -n a b
env test -f fruit
env test -d fruit
env test 1 -lt 2
env [ a = b ]
env [ -z '' -a -n x ]
env pwd
true
false
basename /a/b.c .c
dirname /a/b/c
id -u
id -un
id -g
id -Gn
id nobody
id nosuchuser
whoami
hostname
uname -s
uname -m
uname -r
date -u -d @0 '+%Y-%m-%d %H:%M:%S %Z'
date -u -d @86399 +%s
date -u -d @0
date -u -d @0 '+%a %A %b %B %e %j %I %p %y %u %w'
date -u -d '2020-02-03 04:05:06' +%s
df nothing
sleep 0
sleep nothing
stat -c '%n %s %a %F' fruit dir
readlink link
readlink -f link
realpath dir/../fruit
md5sum fruit
sha256sum fruit numbers
base64 fruit
base64 fruit | base64 -d
du -s empty
tar cf a.tar dir fruit && tar tf a.tar && rm a.tar
gzip -c fruit | gzip -dc
kill -l TERM
kill -0 999999999
nohup true
timeout 5 false
yes | head -n 2
stty size
tty
`
