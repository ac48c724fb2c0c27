package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/docker"
)

func reapCommand() *cobra.Command {
	var file, dir string
	var dry bool
	c := &cobra.Command{
		Use:   "reap",
		Short: "Remove what a server has left on the engine",
		Long: `Reap removes what the server of a state directory has left on the engine: containers
of runs that were killed, those that could not be removed while the engine had a
problem, and the volumes that it made for other versions of the guest agent, unless
a container has them. It knows them by the label berth.instance; what other servers
and other programs have there it does not touch.

A server does the same for containers when it starts, and every docker.reapInterval.
While one runs with that state directory, it is asked to do it now: what its
connections have, and its pool, stays. Otherwise the engine is the one that the file
names; --config must be what the server was started with.`,
		Example: `  berth reap --dry-run
  berth reap --config /etc/berth.yaml --state-dir /var/lib/berth`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := reap(cmd.Context(), file, dir, dry)
			if list != nil || err == nil {
				err = errors.Join(printLeftovers(cmd.OutOrStdout(), list, dry), err)
			}
			return err
		},
	}
	c.Flags().StringVar(&file, "config", "", "the server's configuration file")
	c.Flags().StringVar(&dir, "state-dir", "", "the server's state directory (default: "+stateDirHelp+")")
	c.Flags().BoolVar(&dry, "dry-run", false, "list what would be removed, and remove nothing")
	return c
}

// reap reaps, or has it done by the server that runs. The list is of what has
// been removed also if there is an error.
func reap(ctx context.Context, file, dir string, dry bool) ([]docker.Leftover, error) {
	cfg, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	path, err := stateDirectory(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat((&state{dir: path}).path("instance")); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no server has ever run with the state directory %s: name its directory with --state-dir", path)
	}
	state, err := openState(dir)
	if errors.Is(err, errLocked) {
		var answer reaped
		method := http.MethodPost
		if dry {
			method = http.MethodGet
		}
		if err := callControl(ctx, dir, method, "/leftovers", engineTimeout, &answer); err != nil {
			return nil, err
		}
		return answer.list()
	}
	if err != nil {
		return nil, err
	}
	defer state.close()
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	b, err := docker.Open(ctx, cfg.Docker, state.instance, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		return nil, engineError(err)
	}
	defer b.Close()
	return leftovers(ctx, b, dry)
}

func leftovers(ctx context.Context, b *docker.Backend, dry bool) ([]docker.Leftover, error) {
	if dry {
		return b.Leftovers(ctx)
	}
	return b.Reap(ctx)
}

// reaped is what /leftovers answers with.
type reaped struct {
	Leftovers []docker.Leftover
	Error     string
}

func (r reaped) list() ([]docker.Leftover, error) {
	if r.Error != "" {
		return r.Leftovers, errors.New(r.Error)
	}
	return r.Leftovers, nil
}

// serveLeftovers lists them, or removes them if the method is POST.
func serveLeftovers(b *docker.Backend) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), engineTimeout)
		defer cancel()
		list, err := leftovers(ctx, b, r.Method != http.MethodPost)
		answer := reaped{Leftovers: list}
		if err != nil {
			answer.Error = oneLine(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func printLeftovers(out io.Writer, list []docker.Leftover, dry bool) error {
	var containers, volumes int
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range list {
		if l.ID == "" {
			volumes++
			continue
		}
		if containers++; containers == 1 {
			fmt.Fprintln(w, "CONTAINER\tUSER\tFROM\tAGE\tCONNECTION")
		}
		user := "-"
		if l.ConnectionID != "" {
			user = fmt.Sprintf("%q", l.User)
		}
		fmt.Fprintf(w, "%.12s\t%s\t%s\t%s\t%s\n", l.ID, user, orDash(l.Client), age(l.Created), orDash(l.ConnectionID))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range list {
		if l.ID == "" {
			fmt.Fprintf(out, "volume %s, of another version of the guest agent, made %s ago\n", l.Volume, age(l.Created))
		}
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "nothing is left")
		return err
	}
	done := "removed"
	if dry {
		done = "to remove; nothing has been removed"
	}
	_, err := fmt.Fprintf(out, "%s and %s %s\n", count(containers, "container"), count(volumes, "volume"), done)
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age is how long ago something was made; a dash if that isn't known.
func age(made time.Time) string {
	if made.IsZero() {
		return "-"
	}
	switch d := time.Since(made); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
