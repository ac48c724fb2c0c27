package containerssh_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	_ "unsafe" // for linkname

	"github.com/berth-ssh/berth/internal/engine"
	"go.uber.org/goleak"
)

// impossible are the cases of the original's suite that no backend can pass,
// each with its reason.
var impossible = map[string]string{
	// The original's own backend can't, either: see its message code
	// DOCKER_EXEC_SIGNAL_FAILED_NO_AGENT. The case would wait for ten minutes
	// for what can't come.
	"TestConformance/connection-none/sendingSignalsShouldWork": "without a guest agent no signal reaches a program in connection mode, by design",
}

func TestMain(m *testing.M) {
	flag.Parse()
	skip := flag.Lookup("test.skip").Value.String()
	for name := range impossible {
		if skip != "" {
			skip += "|"
		}
		skip += name
	}
	set("test.skip", skip)
	// The suite sleeps most of the time.
	set("test.parallel", "12")
	if err := freePorts(64); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	engine.CloseIdle()
	if code == 0 {
		// The original's test client never ends what it gives to programs.
		if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/containerssh/sshserver.(*syncContextPipe).ReadCtx")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func set(name, value string) {
	if err := flag.Set(name, value); err != nil {
		panic(err)
	}
}

// nextPort is where the servers of the original's suite listen: on 2222 and
// those that follow, and where one is in use the suite waits for ever.
//
//go:linkname nextPort github.com/containerssh/sshserver.nextPort
var nextPort int

// freePorts makes the suite use n ports in a row that are free. They are below
// those that systems give to connections.
func freePorts(n int) error {
	for range 100 {
		first := 12000 + rand.IntN(18000)
		if allFree(first, n) {
			nextPort = first
			return nil
		}
	}
	return fmt.Errorf("no %d ports in a row are free on 127.0.0.1", n)
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
