package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/sshserver"
)

// engineTimeout bounds reaching the engine at the start, and loading the
// built-in image into it.
const engineTimeout = time.Minute

// endGrace is how long programs may take to end once they have been asked to.
const endGrace = 5 * time.Second

// quickStartPool is how many containers wait where there is no file to say it.
const quickStartPool = 2

func serveCommand() *cobra.Command {
	var s server
	c := &cobra.Command{
		Use:   "serve",
		Short: "Start the SSH server",
		Long: `Serve starts the SSH server. When it accepts connections it prints one line to
standard output, an ssh command that can be pasted into another terminal and works
without a prompt. Logs go to standard error.

Without --config it is the quick start: it listens on loopback only, keeps its host
key and a client key in the state directory, accepts your own keys from ~/.ssh as
well, makes containers from its own image on the engine that DOCKER_HOST names (or
/var/run/docker.sock), and keeps two of them ready.

SIGTERM and SIGINT drain: no new connections, users at terminals are told, and
sessions may end by themselves. After ssh.drainTimeout programs are asked to end,
and soon killed; all containers are removed. A second signal hurries.

SIGHUP reads the file of --config again. For connections from then on it changes
who may log in and what containers they get (auth, and docker but for its
connection); the pool is emptied and filled anew. The log names what has changed
besides and waits for a restart. A file with mistakes changes nothing.

Under systemd (Type=notify) it says when it is ready and when it stops, and with
WatchdogSec that it is alive.`,
		Example: `  berth serve
  berth serve --listen 127.0.0.1:0 --state-dir /tmp/berth
  berth serve --config /etc/berth.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.stdout, s.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return s.run(cmd.Context())
		},
	}
	c.Flags().StringVar(&s.file, "config", "", "configuration file (see berth config --help)")
	c.Flags().StringVar(&s.listen, "listen", "", "address to listen on, host:port; wins over the file's")
	c.Flags().StringVar(&s.stateDir, "state-dir", "", "where keys are kept (default: "+stateDirHelp+")")
	return c
}

// server is one run of serve.
type server struct {
	file, listen, stateDir string
	stdout, stderr         io.Writer
}

func (s *server) run(ctx context.Context) error {
	// Nobody need go on reading what is printed: that is no reason to end.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	hangups := make(chan os.Signal, 1)
	if s.file != "" {
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}

	cfg, err := s.load()
	if err != nil {
		return err
	}
	manager, err := newSupervisor(os.Getenv)
	if err != nil {
		return err
	}
	defer manager.close()
	log := newLogger(cfg.Log, s.stderr)
	// Libraries that log by themselves (net/http does) have no say here.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer())
	state, err := openState(s.stateDir)
	if err != nil {
		return err
	}
	defer state.close()

	hostKeys, err := state.hostKeys(cfg.SSH.HostKeys)
	if err != nil {
		return err
	}
	authorized, clientKey, err := s.authenticator(cfg, state, log)
	if err != nil {
		return err
	}
	keys := &latest{}
	keys.use(authorized)
	// Before the engine, which may take long: a port in use is told at once.
	listener, err := net.Listen("tcp", cfg.SSH.Listen)
	if err != nil {
		return listenError(cfg.SSH.Listen, "--listen", err)
	}
	defer func() { _ = listener.Close() }()
	m := newMetrics()
	b, err := openBackend(ctx, signals, cfg, state, log, m)
	if errors.Is(err, errStopped) {
		log.Info("stopped before the start")
		return nil
	}
	if err != nil {
		return err
	}
	defer engine.CloseIdle()
	defer b.Close()

	// Attempts to log in end with ctx at the latest, also while draining.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv, err := sshServer(cfg, auth.NewHandler(ctx, keys, b.Handler, log), log)
	if err != nil {
		return err
	}
	srv.HostKeys, srv.AuthMethods = hostKeys, keys.Methods()
	if err := srv.Validate(); err != nil {
		return err
	}
	m.observe(srv, b)
	stop, err := serveControl(state, cfg.Metrics.Listen, b, m, log)
	defer func() { stop() }()
	if err != nil {
		return err
	}
	ready, err := state.readyLine(listener.Addr(), hostKeys, clientKey)
	if err != nil {
		return err
	}
	reloading := &reloader{server: s, state: state, backend: b, keys: keys, manager: manager, log: log, started: cfg}
	defer reloading.end()
	watched := &watchedListener{Listener: listener}
	var draining atomic.Bool
	status := func() string {
		text := fmt.Sprintf("%d connections, %d containers", srv.Connections(), len(b.Containers()))
		if draining.Load() {
			return "stopping: " + text
		}
		return text
	}
	// That the engine is away is no reason to end the server, which says so to
	// whoever logs in, and whose sessions go on.
	alive := func() bool {
		b.PoolStats()
		return draining.Load() || watched.away() < 2*manager.watchdog
	}
	return serve(ctx, signals, srv, watched, cfg.SSH.DrainTimeout, log, func() {
		log.Info("accepting connections", "address", listener.Addr().String(), "state", state.dir)
		_, _ = fmt.Fprintln(s.stdout, ready)
		manager.say("READY=1")
		reloading.begin(ctx, hangups)
		go manager.watch(ctx, status, alive)
		go new(rest).run(ctx)
	}, func() {
		draining.Store(true)
		reloading.cancel()
		// All that a stop may take, if everything takes as long as it may.
		longest := cfg.SSH.DrainTimeout + endGrace + sshserver.DefaultDisconnectTimeout + reloading.inUse.Load().Docker.Timeouts.ContainerStop
		manager.say("STOPPING=1\nSTATUS=%s\nEXTEND_TIMEOUT_USEC=%d", status(), longest.Microseconds())
	})
}

// load reads the file, and adds what the command line says.
func (s *server) load() (*config.Config, error) {
	cfg, err := loadConfig(s.file)
	if err != nil {
		return nil, err
	}
	if s.file == "" {
		cfg.Docker.Pool = docker.PoolConfig{Min: quickStartPool}.WithDefaults()
	}
	if s.listen != "" {
		if err := config.CheckListen(s.listen); err != nil {
			return nil, usageError{fmt.Errorf("--listen: %w", err)}
		}
		cfg.SSH.Listen = s.listen
	}
	return cfg, nil
}

// sshServer is the server that a configuration asks for, but for its keys and how
// to log in.
func sshServer(cfg *config.Config, handler sshserver.Handler, log *slog.Logger) (*sshserver.Server, error) {
	c := &cfg.SSH
	penalties, err := c.Penalties.Server()
	if err != nil {
		return nil, err
	}
	return &sshserver.Server{
		Handler:           handler,
		Banner:            c.Banner,
		ServerVersion:     c.ServerVersion,
		Algorithms:        sshserver.Algorithms(c.Algorithms),
		CipherChoice:      c.CipherChoice,
		MaxAuthTries:      c.MaxAuthTries,
		HandshakeTimeout:  c.HandshakeTimeout,
		KeepAliveInterval: c.KeepAlive.Interval,
		KeepAliveCountMax: c.KeepAlive.CountMax,
		MaxConnections:    c.MaxConnections,
		MaxStartups:       c.MaxStartups,
		PerSource:         c.PerSource.Server(),
		MaxPerUser:        c.MaxConnectionsPerUser,
		Penalties:         penalties,
		MaxChannels:       c.MaxChannels,
		Forwarding:        c.Forwarding.Server(),
		MaxForwards:       c.Forwarding.MaxConnections,
		MaxUnread:         c.MaxUnread,
		MaxEnvVariables:   c.Environment.MaxVariables,
		MaxEnvBytes:       c.Environment.MaxBytes,
		Logger:            log,
	}, nil
}

// serve serves until a signal comes, and drains.
func serve(ctx context.Context, signals <-chan os.Signal, srv *sshserver.Server, l net.Listener, drain time.Duration, log *slog.Logger, ready, stopping func()) error {
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	ready()
	select {
	case err := <-ended:
		return err
	case got := <-signals:
		log.Info("stopping: no new connections, and sessions may end by themselves; another signal stops at once",
			"signal", got.String(), "timeout", drain, "connections", srv.Connections())
	case <-ctx.Done():
	}
	stopping()
	ctx, hurry := context.WithCancel(context.WithoutCancel(ctx))
	defer hurry()
	go func() {
		select {
		case <-signals:
			log.Info("stopping at once")
			hurry()
		case <-ctx.Done():
		}
	}()
	draining, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	if err := srv.Drain(draining); err != nil && ctx.Err() == nil {
		log.Info("the time to drain is over: programs are asked to end", "connections", srv.Connections(), "grace", endGrace)
	}
	ending, cancel := context.WithTimeout(ctx, endGrace)
	defer cancel()
	err := srv.Shutdown(ending)
	if served := <-ended; served != nil && !errors.Is(served, sshserver.ErrServerClosed) {
		return served
	}
	if err != nil && ending.Err() == nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// authenticator accepts the keys of the file. Where it lists none, a client key
// is made, whose path is returned; the quick start accepts the caller's own keys
// besides.
func (s *server) authenticator(cfg *config.Config, state *state, log *slog.Logger) (auth.Authenticator, string, error) {
	listed := cfg.Auth.PublicKey
	if len(listed.Files)+len(listed.Keys) > 0 {
		return auth.NewAuthorizedKeys(listed.Files, listed.Keys, log), "", nil
	}
	path, line, err := state.clientKey()
	if err != nil {
		return nil, "", err
	}
	var own []string
	if s.file == "" {
		own = ownKeyFiles()
	}
	// Lines that can't be used are the caller's own business here.
	return auth.NewAuthorizedKeys(own, []string{line}, slog.New(slog.DiscardHandler)), path, nil
}

// openBackend reaches the engine, removes what an earlier run has left, and
// loads the built-in image where it is wanted. A signal ends it with errStopped.
func openBackend(ctx context.Context, signals <-chan os.Signal, cfg *config.Config, state *state, log *slog.Logger, m *metrics) (_ *docker.Backend, err error) {
	server := ctx
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	opened := make(chan struct{})
	defer close(opened)
	go func() {
		select {
		case <-signals:
			stop(errStopped)
		case <-opened:
		}
	}()
	defer func() {
		if err != nil && context.Cause(ctx) == errStopped {
			err = errStopped
		}
	}()

	b, err := docker.Open(ctx, cfg.Docker, state.instance, log, m.requests, m.failures)
	if err != nil {
		return nil, engineError(err)
	}
	if cfg.OwnImage() {
		name, err := b.UseGuestImage(ctx)
		if err != nil {
			b.Close()
			return nil, err
		}
		log.Debug("containers are made from the built-in image", "image", name)
	}
	if err := b.Validate(); err != nil {
		b.Close()
		return nil, err
	}
	if _, err := b.Reap(ctx); err != nil {
		log.Warn("containers that an earlier run has left may still be there", "error", err)
	}
	if err := b.UseSockets(filepath.Join(state.dir, "agents")); err != nil {
		b.Close()
		return nil, fmt.Errorf("cannot make the directory of the containers' sockets: %w", err)
	}
	b.Watch(server)
	b.Warm(server)
	return b, nil
}

// engineError says what to do about an engine that can't be reached.
func engineError(err error) error {
	return fmt.Errorf("%w (start Docker or Podman, or name another engine in docker.connection.host)", err)
}

// errStopped says that a signal came before the server was ready.
var errStopped = errors.New("stopped")

// listenError says what to do about an address where the server cannot listen;
// setting is what names another one.
func listenError(address, setting string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the address %s is in use: stop what listens there, or choose another one with %s", address, setting)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to listen on %s: ports below 1024 need root or the capability NET_BIND_SERVICE", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}

func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated
	options := &slog.HandlerOptions{Level: level}
	f, isFile := w.(*os.File)
	switch {
	case c.Format == config.LogJSON:
		return slog.New(slog.NewJSONHandler(w, options))
	case c.Format != config.LogText && isFile && term.IsTerminal(int(f.Fd())):
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
