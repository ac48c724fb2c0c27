package docker

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-ssh/berth/backend"
)

// ContainerInfo is a container that a Backend has given to somebody. The labels
// of one from the pool say nothing of that.
type ContainerInfo struct {
	ID           string
	User         string
	Client       string // address and port
	ConnectionID string
	// Since is when it was given out.
	Since time.Time
	// FromPool tells that it had been waiting.
	FromPool bool
}

// register knows who has which container, and which containers this run of the
// server answers for. A nil one knows nothing.
type register struct {
	mu sync.Mutex // for memory only
	by map[string]ContainerInfo
	// owned are the launches of containers that are in use, wait in the pool, or
	// are being made or removed. Each comes in before its creation is asked for,
	// and once it has left never comes back: so a container whose launch is not
	// here has no owner, whenever it was seen.
	owned map[string]struct{}

	// reap is a word to the reaper: capacity 1.
	reap chan struct{}
}

func newRegister() *register {
	return &register{by: map[string]ContainerInfo{}, owned: map[string]struct{}{}, reap: make(chan struct{}, 1)}
}

// own takes a launch in.
func (r *register) own(launch string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owned[launch] = struct{}{}
}

// disown lets a launch go, for good.
func (r *register) disown(launch string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owned, launch)
}

func (r *register) owns(launch string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.owned[launch]
	return ok
}

// left tells the reaper that there may be something for it.
func (r *register) left() {
	if r == nil {
		return
	}
	select {
	case r.reap <- struct{}{}:
	default:
	}
}

func (r *register) add(id string, login backend.Login, fromPool bool) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[id] = ContainerInfo{
		ID: id, User: login.Username, Client: login.Client.String(), ConnectionID: login.ConnectionID,
		Since: time.Now(), FromPool: fromPool,
	}
}

func (r *register) remove(id string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, id)
}

// list is in the order of time.
func (r *register) list() []ContainerInfo {
	r.mu.Lock()
	list := make([]ContainerInfo, 0, len(r.by))
	for _, c := range r.by {
		list = append(list, c)
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b ContainerInfo) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}
