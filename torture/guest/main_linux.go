// Command guest is the only program of the container that tortured sessions land
// in, where it is also the shell: a command line is an order (package actor).
//
//	guest -c ORDER   does what the order says
//	guest idle       waits for TERM
package main

import (
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/torture/internal/actor"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "idle" {
		// TERM ends it.
		for {
			time.Sleep(time.Hour)
		}
	}
	if len(os.Args) != 3 || os.Args[1] != "-c" {
		fmt.Fprintln(os.Stderr, "guest: want -c and an order")
		os.Exit(actor.CodeBroken)
	}
	order, err := actor.Parse(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(actor.CodeBroken)
	}
	host, _ := os.Hostname()
	os.Exit(actor.Run(order, world(host)))
}

func world(host string) actor.World {
	signals := make(chan string, 1)
	resized := make(chan struct{}, 1)
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	go func() {
		for range changes {
			select {
			case resized <- struct{}{}:
			default:
			}
		}
	}()
	return actor.World{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Host: host,
		Trap: func(name string) error {
			number := unix.SignalNum("SIG" + name)
			if number == 0 {
				return fmt.Errorf("there is no signal %s", name)
			}
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, number)
			go func() {
				for range caught {
					select {
					case signals <- name:
					default:
					}
				}
			}()
			return nil
		},
		Signals: signals,
		Raw: func() error {
			_, err := term.MakeRaw(0)
			return err
		},
		Size:    func() (columns, rows int, err error) { return term.GetSize(0) },
		Resized: resized,
		Kill: func(name string) {
			_ = unix.Kill(os.Getpid(), unix.SignalNum("SIG"+name))
			time.Sleep(time.Hour)
		},
	}
}
