package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/internal/fakeengine"
)

var anApp = ContainerSpec{Config: &container.Config{Image: "app"}}

// Hazards 17 and 19: an engine that does not answer is asked for so much and no
// more, one Client can't take all of that, and who waits does so within his time.
func TestPlacesAreBounded(t *testing.T) {
	e, greedy := fake(t, fakeengine.Options{})
	other := open(t, Settings{Host: e.Host()})
	const route = "POST /containers/create"
	e.Order(fakeengine.Fault{Route: route, Hang: true})
	ctx, leave := context.WithCancel(testContext(t))
	defer leave()
	var group sync.WaitGroup
	ask := func(c *Client, n int) {
		for range n {
			group.Go(func() {
				if _, err := c.CreateContainer(ctx, anApp); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	taken := func() int {
		greedy.link.places.mu.Lock()
		defer greedy.link.places.mu.Unlock()
		return greedy.link.places.taken
	}
	ask(greedy, 4*heavyCalls)
	until(t, "all of the places for one are taken", func() bool { return e.Count(route) == heavyCallsEach })
	ask(other, heavyCalls)
	until(t, "all places are taken", func() bool { return e.Count(route) == heavyCalls })
	hurried, cancel := context.WithTimeout(ctx, short)
	defer cancel()
	_, err := open(t, Settings{Host: e.Host()}).CreateContainer(hurried, anApp)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "places") {
		t.Errorf("got %v", err)
	}
	if _, err := other.InspectImage(ctx, "app"); err != nil {
		t.Errorf("other calls wait too: %v", err)
	}
	if n := e.Count(route); n != heavyCalls || taken() != heavyCalls {
		t.Errorf("%d calls at a time, %d places taken", n, taken())
	}
	leave()
	group.Wait()
	if p := &greedy.link.places; taken() != 0 || len(p.queues) != 0 || len(p.ring) != 0 {
		t.Errorf("%d places taken, %d queues, %d turns are left", p.taken, len(p.queues), len(p.ring))
	}
}

// Who wants one place is not kept waiting by who wants a hundred.
func TestPlacesAreFair(t *testing.T) {
	var p places
	greedy, modest := &Client{}, &Client{}
	const wanted = 100
	order := make(chan *Client, wanted+2)
	release := map[*Client]chan struct{}{greedy: make(chan struct{}), modest: make(chan struct{})}
	var group sync.WaitGroup
	queue := func(who *Client) {
		group.Go(func() {
			if err := p.take(testContext(t), who, "test"); err != nil {
				t.Error(err)
				return
			}
			order <- who
			<-release[who]
			p.free(who)
		})
	}
	for range wanted {
		queue(greedy)
	}
	// The other places are somebody's.
	for range heavyCalls - heavyCallsEach {
		if err := p.take(testContext(t), &Client{}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	for range heavyCallsEach {
		<-order
	}
	waiting := func(who *Client) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		if q := p.queues[who]; q != nil {
			return len(q.waiting)
		}
		return 0
	}
	until(t, "all others wait", func() bool { return waiting(greedy) == wanted-heavyCallsEach })
	queue(modest)
	queue(modest)
	until(t, "the modest one waits", func() bool { return waiting(modest) == 2 })
	var got []*Client
	for range 4 {
		release[greedy] <- struct{}{}
		got = append(got, <-order)
	}
	if got[0] != greedy || got[1] != modest || got[2] != greedy || got[3] != modest {
		t.Errorf("the turns were the modest one's: %v %v %v %v", got[0] == modest, got[1] == modest, got[2] == modest, got[3] == modest)
	}
	close(release[greedy])
	close(release[modest])
	group.Wait()
	if len(p.queues) != heavyCalls-heavyCallsEach || len(p.ring) != 0 {
		t.Errorf("%d queues and %d turns are left", len(p.queues), len(p.ring))
	}
}

// An answer that comes when the one who asked has left still comes.
func TestCreationOutlivesItsContext(t *testing.T) {
	e, c := fake(t, fakeengine.Options{})
	const route = "POST /containers/create"
	e.Order(fakeengine.Fault{Route: route, Nth: 1, Hold: true})
	ctx, leave := context.WithCancel(testContext(t))
	made, err := c.BeginContainer(ctx, anApp)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the engine is asked", func() bool { return e.Count(route) == 1 })
	leave()
	select {
	case <-made.Done():
		t.Error("it has ended with its context")
	default:
	}
	e.Release()
	if id, err := made.Result(); err != nil || len(e.Containers()) != 1 || e.Containers()[0] != id {
		t.Errorf("container %q, %v; the engine has %v", id, err, e.Containers())
	}

	e.Order(fakeengine.Fault{Route: route, Nth: 1, Hang: true})
	if made, err = c.BeginContainer(testContext(t), anApp); err != nil {
		t.Fatal(err)
	}
	reason := errors.New("no patience")
	made.Stop(reason)
	if _, err := made.Result(); !errors.Is(err, reason) || !Lost(err) {
		t.Errorf("got %v", err)
	}
}

// Where the engine has said no, there is nothing to look for.
func TestLost(t *testing.T) {
	for _, c := range []struct {
		fault fakeengine.Fault
		lost  bool
	}{
		{fakeengine.Fault{Status: 500, Message: "no space left on device"}, false},
		{fakeengine.Fault{Status: 409, Message: "in use"}, false},
		{fakeengine.Fault{Status: 503, Message: "later"}, true},
		{fakeengine.Fault{Status: 502, Message: "a proxy's word"}, true},
		{fakeengine.Fault{CloseConnection: true}, true},
		{fakeengine.Fault{HalfAnswer: true}, true},
	} {
		e, client := fake(t, fakeengine.Options{})
		c.fault.Route = "POST /containers/create"
		e.Order(c.fault)
		if _, err := client.CreateContainer(testContext(t), anApp); err == nil || Lost(err) != c.lost {
			t.Errorf("%+v: lost %v (%v)", c.fault, Lost(err), err)
		}
	}
	if Lost(nil) {
		t.Error("what has succeeded is not lost")
	}
}
