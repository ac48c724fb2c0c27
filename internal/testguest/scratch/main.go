// Command scratch is the only program of the scratch guest, at /guest. It does
// what its arguments say, one after another:
//
//	print [WORD…]     writes each remaining word on a line of its own, and ends
//	stderr TEXT       writes a line to standard error
//	env NAME          writes the value of a variable
//	cat               copies standard input to standard output until it ends
//	sleep DURATION    waits, for example 1.5s
//	exit N            ends with code N
//	serve WHAT NETWORK ADDRESS  listens, writes the address, and serves each
//	                  connection: "echo" sends back what comes, "digest" the
//	                  SHA-256 of all that came when it has ended, "greet" says
//	                  hello, half-closes, and writes what comes after that, and
//	                  "stall" reads nothing
//	dial NETWORK ADDRESS  copies standard input to a connection, half-closes it,
//	                  and copies what comes from it to standard output
//
// A word that it does not know ends it with code 64.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	args := os.Args[1:]
	next := func() string {
		if len(args) == 0 {
			fmt.Fprintln(os.Stderr, "guest: a word is missing at the end")
			os.Exit(64)
		}
		word := args[0]
		args = args[1:]
		return word
	}
	for len(args) > 0 {
		switch verb := next(); verb {
		case "print":
			for _, a := range args {
				fmt.Println(a)
			}
			return
		case "stderr":
			fmt.Fprintln(os.Stderr, next())
		case "env":
			fmt.Println(os.Getenv(next()))
		case "cat":
			if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
				fail(err)
			}
		case "sleep":
			d, err := time.ParseDuration(next())
			if err != nil {
				fail(err)
			}
			time.Sleep(d)
		case "serve":
			serve(next(), next(), next())
		case "dial":
			dial(next(), next())
		case "exit":
			n, err := strconv.Atoi(next())
			if err != nil {
				fail(err)
			}
			os.Exit(n)
		default:
			fail(fmt.Errorf("unknown word %q", verb))
		}
	}
}

func serve(what, network, address string) {
	l, err := net.Listen(network, address)
	if err != nil {
		fail(err)
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			fail(err)
		}
		go func() {
			defer c.Close()
			switch what {
			case "echo":
				_, _ = io.Copy(c, c)
			case "digest":
				h := sha256.New()
				if _, err := io.Copy(h, c); err != nil {
					fmt.Fprintln(os.Stderr, "guest:", err)
					return
				}
				fmt.Fprintf(c, "%x", h.Sum(nil))
			case "greet":
				fmt.Fprint(c, "hello")
				_ = c.(interface{ CloseWrite() error }).CloseWrite()
				all, err := io.ReadAll(c)
				fmt.Printf("%q %v\n", all, err)
			case "stall":
				select {}
			}
		}()
	}
}

func dial(network, address string) {
	c, err := net.Dial(network, address)
	if err != nil {
		fail(err)
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if _, err := io.Copy(os.Stdout, c); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "guest:", err)
	os.Exit(64)
}
