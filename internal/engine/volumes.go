package engine

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// Volume is a named volume.
type Volume struct {
	Name string
	// Created is zero if the engine does not say.
	Created time.Time
	Labels  map[string]string
}

// PutArchive extracts a tar archive in a directory of a container, which need
// not run, nor ever have run. Owners are as in the archive with Docker, and 0:0
// with Podman.
func (c *Client) PutArchive(ctx context.Context, container, directory string, tar io.Reader) error {
	op := describe("copy into container", container)
	if err := checkID(op, "container", container); err != nil {
		return err
	}
	return c.heavy(ctx, op, func(ctx context.Context, api *client.Client) error {
		_, err := api.CopyToContainer(ctx, container, client.CopyToContainerOptions{DestinationPath: directory, Content: tar})
		return err
	})
}

// FileSize is the size of a regular file in a container, which need not run;
// ErrNotFound if there is none.
func (c *Client) FileSize(ctx context.Context, container, path string) (size int64, err error) {
	op := describe("look into container", container)
	if err := checkID(op, "container", container); err != nil {
		return 0, err
	}
	err = c.link.unary(ctx, op, 0, func(ctx context.Context, api *client.Client) error {
		r, err := api.ContainerStatPath(ctx, container, client.ContainerStatPathOptions{Path: path})
		if err == nil && !r.Stat.Mode.IsRegular() {
			err = fail(op, ErrNotFound, "%s is not a file", path)
		}
		size = r.Stat.Size
		return err
	})
	return size, err
}

// ListVolumes lists the volumes whose names begin with prefix.
func (c *Client) ListVolumes(ctx context.Context, prefix string) ([]Volume, error) {
	return c.listVolumes(ctx, prefix, client.Filters{})
}

// UnusedVolumes is ListVolumes for those that carry all labels and that no
// container has, be it running or not.
func (c *Client) UnusedVolumes(ctx context.Context, prefix string, labels map[string]string) ([]Volume, error) {
	filters := client.Filters{}.Add("dangling", "true")
	for name, value := range labels {
		filters.Add("label", name+"="+value)
	}
	return c.listVolumes(ctx, prefix, filters)
}

func (c *Client) listVolumes(ctx context.Context, prefix string, filters client.Filters) ([]Volume, error) {
	var list []Volume
	err := c.link.unary(ctx, "list volumes", 0, func(ctx context.Context, api *client.Client) error {
		r, err := api.VolumeList(ctx, client.VolumeListOptions{Filters: filters.Add("name", prefix)})
		if err != nil {
			return err
		}
		for _, v := range r.Items {
			if strings.HasPrefix(v.Name, prefix) { // engines match anywhere in the name
				created, _ := time.Parse(time.RFC3339, v.CreatedAt)
				list = append(list, Volume{Name: v.Name, Created: created, Labels: v.Labels})
			}
		}
		return nil
	})
	return list, err
}

// RemoveVolume removes a volume that no container uses; ErrConflict if one does.
func (c *Client) RemoveVolume(ctx context.Context, name string) error {
	return c.link.unary(ctx, describe("remove volume", name), 0, func(ctx context.Context, api *client.Client) error {
		_, err := api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
		return err
	})
}
