package testguest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"
)

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 50 * time.Millisecond

// cached returns the path of a file in the cache, whose directory exists then.
func cached(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		// Without a home directory, as services and some CI systems run: what
		// is kept then lasts until the machine's temporary files go.
		base = os.TempDir()
	}
	dir := filepath.Join(base, "berth-test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

// ensureFile returns the path of a file in the cache, made now if it is not
// there.
func ensureFile(ctx context.Context, name string, create func(path string) error) (string, error) {
	path, err := cached(name)
	if err != nil {
		return "", err
	}
	unlock, err := lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	part := path + ".part"
	defer os.Remove(part)
	if err := create(part); err != nil {
		return "", err
	}
	return path, os.Rename(part, path)
}

// lock takes the lock of that name among all processes of the machine. The
// lock goes with the process that holds it.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	path, err := cached(name + ".lock")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if ok {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// hash names a recipe by all that it is made from.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
