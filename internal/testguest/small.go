package testguest

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

var (
	busybox = kind{name: "busybox", recipe: busyboxRecipe}
	scratch = kind{name: "scratch", recipe: scratchRecipe}
)

// accounts are the two files that make names out of numbers.
var accounts = []struct{ path, content string }{
	{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home/guest:/bin/sh\n"},
	{"etc/group", "root:x:0:\nguest:x:1000:\n"},
}

func busyboxRecipe(ctx context.Context) (recipe, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return recipe{}, errors.New("busybox is not installed: run \"make setup\"")
	}
	if err := static(path); err != nil {
		return recipe{}, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return recipe{}, err
	}
	out, err := exec.CommandContext(ctx, path, "--list").Output()
	if err != nil {
		return recipe{}, fmt.Errorf("ask busybox for its applets: %w", err)
	}
	return recipe{
		name:   "busybox",
		hash:   hash("busybox 1", string(content), fmt.Sprint(accounts)),
		config: runConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"/bin/sh"}, WorkingDir: "/root"},
		layer: func(context.Context) (layer, error) {
			return memoryLayer(func(tw *tar.Writer) error {
				if err := addBase(tw); err != nil {
					return err
				}
				if err := addFile(tw, "bin/busybox", 0o755, content); err != nil {
					return err
				}
				for _, applet := range bytes.Fields(out) {
					if string(applet) == "busybox" {
						continue
					}
					if err := tw.WriteHeader(&tar.Header{
						Typeflag: tar.TypeSymlink, Name: "bin/" + string(applet), Linkname: "busybox", Mode: 0o777,
					}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}, nil
}

func scratchRecipe(ctx context.Context) (recipe, error) {
	content, err := buildStatic(ctx, "internal/testguest/scratch")
	if err != nil {
		return recipe{}, err
	}
	return recipe{
		name:   "scratch",
		hash:   hash("scratch 1", string(content)),
		config: runConfig{Cmd: []string{"/guest", "print"}, WorkingDir: "/"},
		layer: func(context.Context) (layer, error) {
			return memoryLayer(func(tw *tar.Writer) error { return addFile(tw, "guest", 0o755, content) })
		},
	}, nil
}

// program is the guest of MakeProgram.
func program(pkg string) kind {
	return kind{name: "program", recipe: func(ctx context.Context) (recipe, error) {
		content, err := buildStatic(ctx, pkg)
		if err != nil {
			return recipe{}, err
		}
		agent, err := buildStatic(ctx, "cmd/berth-agent")
		if err != nil {
			return recipe{}, err
		}
		return recipe{
			name:   "program",
			hash:   hash("program 1", string(content), string(agent)),
			config: runConfig{Cmd: []string{"/guest"}, WorkingDir: "/"},
			layer: func(context.Context) (layer, error) {
				return memoryLayer(func(tw *tar.Writer) error {
					if err := addDir(tw, "tmp", 0o1777); err != nil {
						return err
					}
					if err := addFile(tw, "guest", 0o755, content); err != nil {
						return err
					}
					return addFile(tw, strings.TrimPrefix(AgentPath, "/"), 0o755, agent)
				})
			},
		}, nil
	}}
}

func memoryLayer(add func(tw *tar.Writer) error) (layer, error) {
	content, err := makeTar(add)
	return layer{content: content}, err
}

// addBase adds the directories and files that programs count on.
func addBase(tw *tar.Writer) error {
	for _, dir := range []string{"bin", "etc", "home", "proc", "root", "run", "sys", "dev", "usr", "usr/bin", "var"} {
		if err := addDir(tw, dir, 0o755); err != nil {
			return err
		}
	}
	if err := addDir(tw, "tmp", 0o1777); err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: "home/guest/", Mode: 0o755, Uid: 1000, Gid: 1000,
	}); err != nil {
		return err
	}
	for _, f := range accounts {
		if err := addFile(tw, f.path, 0o644, []byte(f.content)); err != nil {
			return err
		}
	}
	return nil
}

// static makes sure that a program runs without shared libraries.
func static(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no Linux program: %w", path, err)
	}
	defer f.Close()
	if runtime.GOOS != "linux" {
		return errors.New("the busybox guest is made on Linux")
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static: install busybox-static (run \"make setup\")", path)
		}
	}
	return nil
}
