package engine

import (
	"context"
	"io"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Settings say how to reach an engine. Equal settings share one Client.
type Settings struct {
	// Host is unix:///path, tcp://host:port or npipe:////./pipe/name.
	Host string
	// CACert, Cert and Key are PEM texts; any of them makes a tcp host use TLS.
	CACert, Cert, Key string
	// Timeout bounds each single request, but for those that stream, and those
	// that create a container. Zero means 15 seconds.
	Timeout time.Duration
}

// Info is what is asked of an engine once.
type Info struct {
	// APIVersion is the negotiated version of the Engine API, such as 1.41.
	APIVersion string
	// Architecture and OS are GOARCH and GOOS of the engine's machine.
	Architecture, OS string
	// Podman tells whether it is Podman's compatible API.
	Podman bool
	// SizedTerminals tells whether terminals get their size when they are made
	// (Docker from API 1.42 on, and Podman); otherwise they are 0×0 until they
	// are resized.
	SizedTerminals bool
}

// Image is what is needed of an image.
type Image struct {
	ID              string
	Entrypoint, Cmd []string
	Env             []string
	User            string
	Architecture    string
}

// ContainerSpec describes a container to be made.
type ContainerSpec struct {
	Name     string
	Config   *container.Config
	Host     *container.HostConfig
	Network  *network.NetworkingConfig
	Platform *ocispec.Platform
}

// ExecSpec describes a program to be started in a container.
type ExecSpec struct {
	Cmd  []string
	Env  []string
	User string
	Dir  string
	TTY  bool
	// Columns and Rows are set when the terminal is made where the engine can
	// do that (API 1.42), otherwise ignored.
	Columns, Rows uint32
}

// ExecState is what an engine knows about a program.
type ExecState struct {
	// Running is true until the program has ended, also before its start.
	Running bool
	// ExitCode means nothing while Running.
	ExitCode int
	// PID is in the engine's own namespace; zero until known.
	PID int
}

// Exit is how a container ended.
type Exit struct {
	Code int
	// Message is the engine's word on a container that could not be waited for.
	Message string
}

// Container is one entry of a list.
type Container struct {
	ID     string
	Labels map[string]string
	State  string
	// Created is in whole seconds.
	Created time.Time
}

// PullProgress is one line of news about a pull.
type PullProgress struct {
	// Layer is the short id of a layer; empty for news about the whole image.
	Layer string
	// Status is the engine's word, such as "Downloading" or "Pull complete".
	Status string
	// Current and Total are bytes; Total is zero when unknown.
	Current, Total int64
}

// api is the list of what this package gives to others; *Client has it all.
// Errors can be told apart with errors.Is and the sentinels of this package.
type api interface {
	// Info negotiates at the first call and returns what it learnt after that.
	Info(ctx context.Context) (Info, error)
	// Machine asks what the engine's machine has and what can be limited.
	Machine(ctx context.Context) (Machine, error)

	InspectImage(ctx context.Context, ref string) (Image, error)
	PullImage(ctx context.Context, ref string, platform *ocispec.Platform, progress func(PullProgress)) error
	LoadImage(ctx context.Context, tar io.Reader) error

	BeginContainer(ctx context.Context, s ContainerSpec) (*Creation, error)
	CreateContainer(ctx context.Context, s ContainerSpec) (id string, err error)
	StartContainer(ctx context.Context, id string) error
	// AttachContainer attaches to all three streams, to be done before the
	// start. The Stream has no further use for ctx once it is returned.
	AttachContainer(ctx context.Context, id string, tty bool) (*Stream, error)
	// WaitContainer is to be called before the start; the wait is registered
	// with the engine when it returns. The channel gives one Exit, or an error.
	WaitContainer(ctx context.Context, id string) (<-chan ExitResult, error)
	ResizeContainer(ctx context.Context, id string, columns, rows uint32) error
	KillContainer(ctx context.Context, id string, signal string) error
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	// RemoveContainer kills and removes with anonymous volumes, and returns
	// when the container is gone. One that is gone already, or is being
	// removed by somebody else, is no error.
	RemoveContainer(ctx context.Context, id string) error
	// ListContainers lists running and stopped ones that carry all labels.
	ListContainers(ctx context.Context, labels map[string]string) ([]Container, error)

	CreateExec(ctx context.Context, containerID string, s ExecSpec) (id string, err error)
	// StartExec starts a program and attaches to it; errors carry the engine's
	// own message.
	StartExec(ctx context.Context, id string, s ExecSpec) (*Stream, error)
	InspectExec(ctx context.Context, id string) (ExecState, error)
	ResizeExec(ctx context.Context, id string, columns, rows uint32) error

	// Close gives the share in the client back.
	Close()
}

// ExitResult is what WaitContainer sends.
type ExitResult struct {
	Exit Exit
	Err  error
}

var _ api = (*Client)(nil)
