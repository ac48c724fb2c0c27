package engine

import (
	"context"
	"io"
	"strings"

	"github.com/moby/moby/client"
)

// InspectImage tells about an image that the engine has; ErrNotFound if it has
// not.
func (c *Client) InspectImage(ctx context.Context, ref string) (Image, error) {
	op := describe("inspect image", ref)
	if err := checkReference(op, ref); err != nil {
		return Image{}, err
	}
	var image Image
	err := c.link.unary(ctx, op, 0, func(ctx context.Context, api *client.Client) error {
		r, err := api.ImageInspect(ctx, ref)
		if err != nil {
			return err
		}
		image.ID, image.Architecture = r.ID, goarch(r.Architecture)
		if r.Config != nil {
			image.Entrypoint, image.Cmd = r.Config.Entrypoint, r.Config.Cmd
			image.Env, image.User = r.Config.Env, r.Config.User
		}
		return nil
	})
	return image, err
}

// LoadImage loads what "docker save" writes. The end of tar ends it; there is
// no other limit than ctx.
func (c *Client) LoadImage(ctx context.Context, tar io.Reader) error {
	const op = "load image"
	n, err := c.link.negotiate(ctx)
	if err != nil {
		return err
	}
	r, err := n.api.ImageLoad(ctx, tar, client.ImageLoadWithQuiet(true))
	if err == nil {
		err = readProgress(op, c.link.settings.Host, r, func(PullProgress) {})
		_ = r.Close()
	}
	return c.link.explain(ctx, ctx, op, classify(op, err))
}

// checkReference refuses what would change the path of a request. What a
// reference may look like else is the engine's to say.
func checkReference(op, ref string) error {
	if ref == "" || strings.ContainsAny(ref, "?#%\\\x00\r\n ") || strings.Contains(ref, "..") {
		return fail(op, ErrInvalid, "%q is no reference to an image", ref)
	}
	return nil
}
