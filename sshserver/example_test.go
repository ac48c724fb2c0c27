package sshserver_test

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/berth-ssh/berth/sshserver"
	"golang.org/x/crypto/ssh"
)

// newHandler stands for your own Handler, or the one of package docker.
func newHandler() sshserver.Handler { return nil }

// A server that drains on an interrupt.
func ExampleServer() {
	key, err := sshserver.LoadOrCreateHostKey("/var/lib/berth/host_key")
	if err != nil {
		log.Fatal(err)
	}
	server := &sshserver.Server{
		Addr:     "127.0.0.1:2222",
		Handler:  newHandler(),
		HostKeys: []ssh.Signer{key},
		Logger:   slog.Default(),
	}

	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-interrupted.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			slog.Warn("some connections were cut", "error", err)
		}
	}()
	if err := server.ListenAndServe(); err != sshserver.ErrServerClosed {
		log.Fatal(err)
	}
	<-drained
}
