package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/internal/settings"
)

// reloader reads the configuration file anew while the server runs. What it finds is
// for connections from then on.
type reloader struct {
	server  *server
	state   *state
	backend *docker.Backend
	keys    *latest
	manager *supervisor
	log     *slog.Logger

	started *config.Config // that the server has been started with
	inUse   atomic.Pointer[config.Config]

	cancel context.CancelFunc // stops reading; nothing before begin
	work   sync.WaitGroup
}

// begin reads the file at each signal until ctx ends, or end.
func (r *reloader) begin(ctx context.Context, signals <-chan os.Signal) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.inUse.Store(r.started)
	r.work.Go(func() { r.run(ctx, signals) })
}

// end returns when nothing is being read any more.
func (r *reloader) end() {
	if r.cancel != nil {
		r.cancel()
	}
	r.work.Wait()
}

func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		r.manager.say("RELOADING=1")
		err := r.reload(ctx)
		if ctx.Err() != nil {
			return // what has not been read is for nobody
		}
		r.report(err)
		r.manager.say("READY=1")
	}
}

// report logs each mistake by itself.
func (r *reloader) report(err error) {
	list := []error{err}
	if problems := (config.Problems)(nil); errors.As(err, &problems) {
		list = problems.Unwrap()
	}
	for _, err := range list {
		if err != nil {
			r.log.Error("the configuration file is not used, and all is as it was", "error", err)
		}
	}
}

// reload is one time. After an error all is as it was.
func (r *reloader) reload(ctx context.Context) error {
	cfg, err := r.server.load()
	if err != nil {
		return err
	}
	keys, _, err := r.server.authenticator(cfg, r.state, r.log)
	if err != nil {
		return err
	}
	waiting, err := waitsForRestart(r.started, cfg)
	if err != nil {
		return err
	}
	cfg.Docker.Connection = r.started.Docker.Connection
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if err := r.backend.Reconfigure(ctx, cfg.Docker); err != nil {
		return err
	}
	r.keys.use(keys)
	r.inUse.Store(cfg)
	r.log.Info("the configuration file has been read again, for connections from now on")
	if len(waiting) > 0 {
		r.log.Warn("some of what has changed in the configuration file waits for a restart", "settings", strings.Join(waiting, ", "))
	}
	return nil
}

// waitsForRestart names the settings in which two configurations differ and that
// a running server can't change.
func waitsForRestart(a, b *config.Config) ([]string, error) {
	var differ []string
	for _, part := range []struct {
		name string
		a, b any
	}{
		{"ssh", a.SSH, b.SSH},
		{"docker.connection", a.Docker.Connection, b.Docker.Connection},
		{"log", a.Log, b.Log},
		{"metrics", a.Metrics, b.Metrics},
	} {
		var trees [2]map[string]any
		for i, v := range []any{part.a, part.b} {
			tree, err := settings.Tree(v)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", part.name, err)
			}
			trees[i], _ = tree.(map[string]any)
		}
		keys := maps.Clone(trees[0])
		maps.Copy(keys, trees[1])
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if !reflect.DeepEqual(trees[0][key], trees[1][key]) {
				differ = append(differ, part.name+"."+key)
			}
		}
	}
	return differ, nil
}

// latest decides as the authenticator does that it was last given. All of them
// have the same methods.
type latest struct {
	now atomic.Pointer[auth.Authenticator]
}

func (l *latest) use(a auth.Authenticator) { l.now.Store(&a) }

func (l *latest) Authenticate(ctx context.Context, attempt auth.Attempt) (auth.Decision, error) {
	return (*l.now.Load()).Authenticate(ctx, attempt)
}

func (l *latest) Methods() []string { return (*l.now.Load()).Methods() }
