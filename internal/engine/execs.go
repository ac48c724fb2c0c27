package engine

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// CreateExec prepares a program in a running container and returns its id. A
// container that does not run is an ErrConflict.
func (c *Client) CreateExec(ctx context.Context, containerID string, s ExecSpec) (id string, err error) {
	op := describe("prepare a program in container", containerID)
	if err := checkID(op, "container", containerID); err != nil {
		return "", err
	}
	if len(s.Cmd) == 0 {
		return "", fail(op, ErrInvalid, "no command is given")
	}
	for _, variable := range s.Env {
		// Podman refuses it, and Docker takes it for "unset".
		if !strings.Contains(variable, "=") {
			return "", fail(op, ErrInvalid, "the environment variable %q has no value", variable)
		}
	}
	n, err := c.link.negotiate(ctx)
	if err != nil {
		return "", err
	}
	options := client.ExecCreateOptions{
		User: s.User, TTY: s.TTY, Env: s.Env, WorkingDir: s.Dir, Cmd: s.Cmd,
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
		DetachKeys: execDetachKeys,
	}
	if s.TTY && s.Columns > 0 && s.Rows > 0 && n.since(consoleSizeAPI) {
		options.ConsoleSize = client.ConsoleSize{Height: uint(s.Rows), Width: uint(s.Columns)}
	}
	err = c.heavy(ctx, op, func(ctx context.Context, api *client.Client) error {
		r, err := api.ExecCreate(ctx, containerID, options)
		id = r.ID
		return err
	})
	return id, err
}

// StartExec starts a program that CreateExec prepared with the same s, and
// attaches to its streams.
func (c *Client) StartExec(ctx context.Context, id string, s ExecSpec) (*Stream, error) {
	op := describe("start program", id)
	if err := checkID(op, "program", id); err != nil {
		return nil, err
	}
	n, err := c.link.negotiate(ctx)
	if err != nil {
		return nil, err
	}
	body := execStart{ExecStartRequest: container.ExecStartRequest{Tty: s.TTY}}
	query := url.Values{}
	if s.TTY && s.Columns > 0 && s.Rows > 0 {
		if n.since(consoleSizeAPI) {
			body.ConsoleSize = &[2]uint{uint(s.Rows), uint(s.Columns)}
		}
		if n.info.Podman {
			body.Height, body.Width = s.Rows, s.Columns
			query.Set("h", strconv.FormatUint(uint64(s.Rows), 10))
			query.Set("w", strconv.FormatUint(uint64(s.Columns), 10))
		}
	}
	if err := c.link.places.take(ctx, c, op); err != nil {
		return nil, err
	}
	defer c.link.places.free(c)
	return c.link.hijack(ctx, op, n, "/exec/"+id+"/start", query, body, s.TTY)
}

// execStart is the request's body, with Podman's own names for the size.
type execStart struct {
	container.ExecStartRequest
	Height uint32 `json:"h,omitempty"`
	Width  uint32 `json:"w,omitempty"`
}

// InspectExec tells the state of a program. ExitCode means nothing while it is
// Running, which it also is while it is about to be started; PID may be zero
// until it really is.
func (c *Client) InspectExec(ctx context.Context, id string) (ExecState, error) {
	op := describe("inspect program", id)
	if err := checkID(op, "program", id); err != nil {
		return ExecState{}, err
	}
	// Not through the API client: it wants the detach keys in base64, and
	// Podman gives them as they are.
	var answer struct {
		Running  bool
		ExitCode *int
		Pid      int
	}
	if err := c.link.get(ctx, op, "/exec/"+id+"/json", &answer); err != nil {
		return ExecState{}, err
	}
	// Docker answers a start before it has started the program: for a moment
	// it does not run and has no exit code.
	if answer.ExitCode == nil {
		return ExecState{Running: true, PID: answer.Pid}, nil
	}
	return ExecState{Running: answer.Running, ExitCode: *answer.ExitCode, PID: answer.Pid}, nil
}

// ResizeExec changes the size of a running program's terminal. Engines refuse
// it before the program has started.
func (c *Client) ResizeExec(ctx context.Context, id string, columns, rows uint32) error {
	op := describe("resize program", id)
	if err := checkID(op, "program", id); err != nil {
		return err
	}
	return c.link.unary(ctx, op, 0, func(ctx context.Context, api *client.Client) error {
		_, err := api.ExecResize(ctx, id, client.ExecResizeOptions{Width: uint(columns), Height: uint(rows)})
		return err
	})
}
