package docker_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/testguest"
	"github.com/berth-ssh/berth/sshserver"
)

// A program in a container of its own, step by step as an SSH server takes
// them: a network connection, a login, a session, a shell.
func Example() {
	client := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000}
	connectionID := "0123456789ABCDEF"
	config := docker.Config{
		Connection: docker.ConnectionConfig{Host: testguest.EngineHost()},
		Execution: docker.ExecutionConfig{
			Launch: docker.LaunchConfig{ContainerConfig: &container.Config{Image: builtInImage()}},
		},
	}
	logger := slog.New(slog.DiscardHandler)
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "backend_requests"})
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "backend_failures"})

	dr, err := docker.New(client, connectionID, config, logger, requests, failures)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dr.OnDisconnect() // removes the container

	ssh, err := dr.OnHandshakeSuccess("provided-connection-username")
	if err != nil {
		fmt.Println(err)
		return
	}

	var channelID uint64 = 0
	extraData := []byte{}
	session, err := ssh.OnSessionChannel(channelID, extraData)
	if err != nil {
		fmt.Println(err)
		return
	}

	var requestID uint64 = 0
	err = session.OnEnvRequest(requestID, "foo", "bar")
	if err != nil {
		fmt.Println(err)
		return
	}
	requestID = 1
	var stdin io.Reader = strings.NewReader("echo foo is $foo; exit 3\n")
	var stdout, stderr io.Writer = os.Stdout, os.Stderr
	exited := make(chan sshserver.ExitStatus)
	err = session.OnShell(
		requestID,
		stdin,
		stdout,
		stderr,
		func(exitStatus sshserver.ExitStatus) {
			exited <- exitStatus
		},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("exit code", (<-exited).Code)

	// Output:
	// foo is bar
	// exit code 3
}

// builtInImage loads Berth's own image into the engine. Any other image with a
// shell will do as well.
func builtInImage() string {
	ctx := context.Background()
	config := docker.Config{Connection: docker.ConnectionConfig{Host: testguest.EngineHost()}}
	b, err := docker.Open(ctx, config, "", slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		return err.Error()
	}
	defer b.Close()
	name, err := b.UseGuestImage(ctx)
	if err != nil {
		return err.Error()
	}
	return name
}
