package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/internal/engine"
	"github.com/berth-ssh/berth/internal/guestimage"
)

const (
	// agentDirectory is where containers have the agent. No image has it.
	agentDirectory = "/.berth"
	injectedAgent  = agentDirectory + "/agent"

	agentVolumePrefix = "berth-agent-"
	// volumeAge is how old another agent's volume must be to be removed. A
	// server that still wants it makes it anew.
	volumeAge = 7 * 24 * time.Hour
)

// agentVolume is a volume that holds one version of the agent, on one engine.
// It is named after its content, and filled by whoever needs it first.
type agentVolume struct {
	name    string
	program []byte

	turn   chan struct{} // capacity 1: held while filling
	filled bool          // of turn
}

// agentVolumes are those of this process, by engine and name.
var agentVolumes struct {
	mu sync.Mutex // for memory only
	by map[[2]string]*agentVolume
}

// agentVolume finds the volume for the engine's architecture.
func (p *provider) agentVolume(ctx context.Context) (*agentVolume, error) {
	info, err := p.engine.Info(ctx) // known since the first call
	if err != nil {
		return nil, err
	}
	program, err := agentProgram(info.Architecture)
	if err != nil {
		return nil, err
	}
	key := [2]string{p.config.Connection.Host, program.name}
	agentVolumes.mu.Lock()
	defer agentVolumes.mu.Unlock()
	v := agentVolumes.by[key]
	if v == nil {
		if agentVolumes.by == nil {
			agentVolumes.by = map[[2]string]*agentVolume{}
		}
		v = &agentVolume{name: program.name, program: program.content, turn: make(chan struct{}, 1)}
		agentVolumes.by[key] = v
	}
	return v, nil
}

type carried struct {
	name    string
	content []byte
}

var (
	carriedMu sync.Mutex // for memory, and for unpacking what this program carries
	carriedBy = map[string]carried{}
)

// agentProgram is the agent that this program carries for an architecture.
func agentProgram(arch string) (carried, error) {
	carriedMu.Lock()
	defer carriedMu.Unlock()
	if c, ok := carriedBy[arch]; ok {
		return c, nil
	}
	content, err := guestimage.Agent(arch)
	if errors.Is(err, guestimage.ErrNotBuilt) {
		err = fmt.Errorf("this program was built without the guest agent for %s; build it with `make build`, or set execution.agent to image or none", arch)
	}
	if err != nil {
		return carried{}, err
	}
	sum := sha256.Sum256(content)
	c := carried{agentVolumePrefix + hex.EncodeToString(sum[:])[:16], content}
	carriedBy[arch] = c
	return c, nil
}

// mount is how containers get the volume. The first of them makes it, with the
// name of its server.
func (v *agentVolume) mount(p *provider, readOnly bool) mount.Mount {
	options := &mount.VolumeOptions{NoCopy: true}
	if p.instance != "" {
		options.Labels = map[string]string{labelInstance: p.instance}
	}
	return mount.Mount{Type: mount.TypeVolume, Source: v.name, Target: agentDirectory, ReadOnly: readOnly, VolumeOptions: options}
}

// ensure fills the volume unless that is known to be done; again says that it
// was found empty. image is any that the engine has: a container of it, which is
// never started, is the way into the volume.
func (v *agentVolume) ensure(ctx context.Context, p *provider, image string, again bool) error {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if v.filled && !again {
		return nil
	}
	err := p.do(ctx, stepAgent, func(ctx context.Context) error { return v.fill(ctx, p, image) })
	if err != nil {
		return err
	}
	if !v.filled {
		v.filled = true
		p.removals.Go(func() { v.removeOthers(context.WithoutCancel(ctx), p) })
	}
	return nil
}

func (v *agentVolume) fill(ctx context.Context, p *provider, image string) (err error) {
	launch := newLaunchID()
	p.register.own(launch)
	defer p.register.disown(launch)
	// Not given up with whoever waits for it: a container that the engine makes all
	// the same would be nobody's.
	making, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.Timeouts.ContainerStart)
	defer cancel()
	id, err := p.engine.CreateContainer(making, engine.ContainerSpec{
		Config: &container.Config{Image: image, Entrypoint: []string{injectedAgent}, Labels: p.labels(launch)},
		Host:   &container.HostConfig{Mounts: []mount.Mount{v.mount(p, false)}, NetworkMode: "none"},
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.Timeouts.ContainerStop)
		defer cancel()
		err = errors.Join(err, p.engine.RemoveContainer(ctx, id))
	}()
	if v.holds(ctx, p, id) {
		return nil
	}
	// Under a name of its own first, and then linked to the one that is used:
	// nobody ever starts half an agent.
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	part := "agent-" + newLaunchID()[:8]
	err = w.WriteHeader(&tar.Header{Name: part, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(v.program))})
	if err == nil {
		_, err = w.Write(v.program)
	}
	if err == nil {
		err = w.WriteHeader(&tar.Header{Name: "agent", Typeflag: tar.TypeLink, Linkname: part, Mode: 0o755})
	}
	if err == nil {
		err = w.WriteHeader(&tar.Header{Name: path.Base(socketDirectory) + "/", Typeflag: tar.TypeDir, Mode: 0o755})
	}
	if err == nil {
		// For clients' scp in images without one.
		err = w.WriteHeader(&tar.Header{Name: "scp", Typeflag: tar.TypeSymlink, Linkname: "agent", Mode: 0o777})
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return err
	}
	if err := p.engine.PutArchive(ctx, id, agentDirectory, &b); err != nil {
		return err
	}
	if !v.holds(ctx, p, id) {
		return errors.New("the agent is not in its volume after it was put there")
	}
	return nil
}

// holds says whether the agent is in the volume that a container has.
func (v *agentVolume) holds(ctx context.Context, p *provider, id string) bool {
	size, err := p.engine.FileSize(ctx, id, injectedAgent)
	return err == nil && size == int64(len(v.program))
}

// removeOthers removes the volumes of other versions that are old and that no
// container uses.
func (v *agentVolume) removeOthers(ctx context.Context, p *provider) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeouts.ContainerStop)
	defer cancel()
	list, err := p.engine.ListVolumes(ctx, agentVolumePrefix)
	if err != nil {
		return
	}
	for _, other := range list {
		if other.Name != v.name && !other.Created.IsZero() && time.Since(other.Created) > volumeAge {
			if err := p.engine.RemoveVolume(ctx, other.Name); err == nil {
				p.log.Info("removed the volume of another version of the guest agent", "volume", other.Name)
			}
		}
	}
}
