package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-ssh/berth/backend"
	"github.com/berth-ssh/berth/internal/engine"
)

// pullTries is how often a pull is begun. A registry's refusal is not a fault
// of the engine that would pass by itself, and somebody is waiting.
const pullTries = 2

// pull fetches the image. There is no bound on its whole time, since images
// have no bound on their size; one that makes no progress for the time of
// ContainerStart is given up.
func (p *provider) pull(ctx context.Context, progress func(string)) error {
	image := p.config.Execution.Launch.ContainerConfig.Image
	p.log.Info("pulling the image", "image", image, "code", MImagePull)
	progress("getting the image")

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := p.config.Timeouts.ContainerStart
	stalled := time.AfterFunc(patience, func() {
		cancel(fmt.Errorf("no progress for %v", patience))
	})
	defer stalled.Stop()

	layers := newPullSummary()
	var err error
	for range pullTries {
		err = p.count(p.engine.PullImage(ctx, image, p.config.Execution.Launch.Platform, func(news engine.PullProgress) {
			stalled.Reset(patience)
			progress(layers.add(news))
		}))
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || engine.Permanent(err) {
			break
		}
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	failed := stepPull.failed(err)
	failed.Message = fmt.Sprintf("could not pull the image %s", image)
	failed.User += " " + pullWords(err)
	return failed
}

// pullWords tells the user why there is no image, without naming it.
func pullWords(err error) string {
	text := err.Error()
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, engine.ErrUnauthorized), errors.Is(err, engine.ErrForbidden):
		return "The registry refuses this server's credentials."
	case errors.Is(err, engine.ErrNotFound):
		return "The registry has no such image or tag, or it wants credentials."
	case has("connection refused", "no such host", "i/o timeout", "unreachable", "no route to host",
		"deadline exceeded", "Timeout", "no progress", "connection reset", "server misbehaving"):
		return "The registry cannot be reached."
	default:
		return "The server's log says why."
	}
}

// missingImage is called when a container could not be created since something
// was not found. It gets the image if that is what was missing and may be got,
// and returns cause if it was something else.
func (p *provider) missingImage(ctx context.Context, cause *backend.Error, progress func(string)) error {
	image := p.config.Execution.Launch.ContainerConfig.Image
	p.log.Debug("checking whether the image must be pulled", "image", image, "code", MImagePullNeeded)
	present := false
	err := p.do(ctx, stepInspectImage, func(ctx context.Context) error {
		_, err := p.engine.InspectImage(ctx, image)
		present = err == nil
		if errors.Is(err, engine.ErrNotFound) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case present && p.config.Execution.Launch.Platform == nil:
		return cause
	case p.config.Execution.ImagePullPolicy == ImagePullPolicyNever:
		return &backend.Error{
			Code:    EFailedContainerCreate,
			User:    UserMessageInitializeSSHSession + " The image is not on this server, and the server is set to never fetch it.",
			Message: fmt.Sprintf("the image %s is not present and execution.imagePullPolicy is Never: pull it by hand, or set IfNotPresent", image),
			Err:     cause,
		}
	}
	return p.pull(ctx, progress)
}

// pullSummary makes one line out of the news of all layers.
type pullSummary struct {
	current, total map[string]int64
}

func newPullSummary() *pullSummary {
	return &pullSummary{map[string]int64{}, map[string]int64{}}
}

// maxLayers bounds what a registry can make a summary hold.
const maxLayers = 1024

func (s *pullSummary) add(news engine.PullProgress) string {
	if news.Layer != "" && news.Status == "Downloading" &&
		(len(s.total) < maxLayers || s.total[news.Layer] != 0) {
		s.current[news.Layer], s.total[news.Layer] = news.Current, news.Total
	} else if news.Layer != "" {
		s.current[news.Layer] = s.total[news.Layer] // past downloading
	}
	var current, total int64
	for layer, n := range s.total {
		total += n
		current += s.current[layer]
	}
	if total == 0 {
		return "getting the image"
	}
	return fmt.Sprintf("getting the image: %.1f of %.1f MB", float64(current)/1e6, float64(total)/1e6)
}
