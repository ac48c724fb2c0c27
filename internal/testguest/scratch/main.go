// Command scratch is the only program of the scratch guest, at /guest. It does
// what its arguments say, one after another:
//
//	print [WORD…]     writes each remaining word on a line of its own, and ends
//	stderr TEXT       writes a line to standard error
//	env NAME          writes the value of a variable
//	cat               copies standard input to standard output until it ends
//	sleep DURATION    waits, for example 1.5s
//	exit N            ends with code N
//
// A word that it does not know ends it with code 64.
package main

import (
	"fmt"
	"io"
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

func fail(err error) {
	fmt.Fprintln(os.Stderr, "guest:", err)
	os.Exit(64)
}
