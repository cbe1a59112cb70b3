package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-run/interlock/fence"
)

// fencer is an agent in memory: what it answers for each node, after how long, and whom it was asked for.
type fencer struct {
	mu     sync.Mutex
	asked  []string
	fails  map[string]bool
	takes  time.Duration
	killed bool // it was told to end before it was done
}

func (f *fencer) off(ctx context.Context, own fence.Token, o Owed) error {
	f.mu.Lock()
	f.asked = append(f.asked, o.Node)
	f.mu.Unlock()
	if own == 0 || own == o.Token {
		return fmt.Errorf("asked with token %s for %s", own, o.Token)
	}
	if !wait(ctx, f.takes) {
		f.mu.Lock()
		f.killed = true
		f.mu.Unlock()
		return ctx.Err()
	}
	if f.fails[o.Node] {
		return errors.New("the node is still on")
	}
	return nil
}

func (f *fencer) whom() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func onNode(token fence.Token, node string, volumes ...string) Owed {
	return Owed{Token: token, Node: node, BootID: "boot of " + node, Volumes: volumes}
}

func runningOn(node string, owes ...Owed) Record {
	return Record{Phase: Running, Token: 9, Node: node, BootID: "boot of " + node, WaitMS: 20000, SettleMS: 5000, Owes: owes}
}

// T6: only confirmed offs of all whole nodes end the wait, and nothing else shortens it.
func TestFencingEndsTheHoldOff(t *testing.T) {
	whole := Scaled(25 * time.Second)
	waiting := runningOn("w", onNode(3, "a"))
	waiting.Phase = Waiting
	for name, c := range map[string]struct {
		found Record
		none  bool // there is no record
		fails []string
		asked []string
		want  time.Duration
	}{
		"the writer is off":                {found: runningOn("a"), asked: []string{"a"}, want: 3 * time.Second},
		"all are off":                      {found: runningOn("a", onNode(3, "b"), onNode(4, "c")), asked: []string{"a", "c", "b"}, want: 9 * time.Second},
		"each node once":                   {found: runningOn("a", onNode(3, "b"), onNode(4, "a"), onNode(5, "b")), asked: []string{"a", "b"}, want: 6 * time.Second},
		"one that waited, too":             {found: waiting, asked: []string{"w", "a"}, want: 6 * time.Second},
		"the writer fails":                 {found: runningOn("a"), fails: []string{"a"}, asked: []string{"a"}, want: whole},
		"one of two fails":                 {found: runningOn("a", onNode(3, "b")), fails: []string{"b"}, asked: []string{"a", "b"}, want: whole},
		"the writer fails, the other not":  {found: runningOn("a", onNode(3, "b")), fails: []string{"a"}, asked: []string{"a"}, want: whole},
		"unknown is owed":                  {found: runningOn("a", Owed{Unknown: true}), want: whole},
		"no record":                        {none: true, want: Scaled(20 * time.Second)},
		"our own node":                     {found: runningOn("n"), want: whole},
		"our own machine by another name":  {found: Record{Phase: Running, Token: 9, Node: "a", BootID: "b", WaitMS: 25000}, want: whole},
		"our own node is owed":             {found: runningOn("a", onNode(3, "n")), want: whole},
		"a record without the node's name": {found: Record{Phase: Running, Token: 9, WaitMS: 25000}, want: whole},
		"drained":                          {found: Record{Phase: Drained, Token: 9, Node: "a"}},
		"dead, and no settle to wait for":  {found: Record{Phase: Dead, Token: 9, Node: "a", Volumes: []string{"v"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fencer{fails: map[string]bool{}, takes: 3 * time.Second}
			for _, n := range c.fails {
				f.fails[n] = true
			}
			within(t, func(s *service, o *Options) {
				if !c.none {
					s.put(t, c.found)
				}
				o.Fence = f.off
			}, func(s *service, ct *contender) {
				<-ct.leased
				if got := ct.when(0).HolderSince(ct.t.observed); got < c.want || got > c.want+100*time.Millisecond {
					t.Errorf("started %v after the read: expected %v", got, c.want)
				}
				ct.t.Abandon() // joins who asks
				if got := f.whom(); !slices.Equal(got, c.asked) {
					t.Errorf("asked for %v: expected %v", got, c.asked)
				}
				for _, r := range s.written() {
					if r.Phase == Waiting && len(c.asked) > 0 && len(r.Owes) == 0 {
						t.Errorf("a waiting record owes nobody: %+v", r)
					}
				}
			})
		})
	}
}

// T6: the writer's node is fenced, too, where an entry of owes has its token and another node; and the agent
// hears of the volumes of every entry that one fence stands for.
func TestWholeNodesAreFenced(t *testing.T) {
	waiting := runningOn("w", onNode(9, "a", "v"), onNode(3, "b", "x"), onNode(2, "a", "u", "v"))
	waiting.Phase = Waiting
	f, volumes := &fencer{}, map[string][]string{}
	within(t, func(s *service, o *Options) {
		s.put(t, waiting)
		o.Fence = func(ctx context.Context, own fence.Token, e Owed) error {
			volumes[e.Node] = e.Volumes // one after the other
			return f.off(ctx, own, e)
		}
	}, func(_ *service, ct *contender) {
		<-ct.leased
		if got := f.whom(); len(got) != 3 || !slices.Contains(got, "a") || !slices.Contains(got, "b") || !slices.Contains(got, "w") {
			t.Errorf("asked for %v: expected a, b and w, each once", got)
		}
		if !slices.Equal(volumes["a"], []string{"u", "v"}) || !slices.Equal(volumes["b"], []string{"x"}) {
			t.Errorf("told of the volumes %v", volumes)
		}
	})
}

// T6: it begins after the grant, whoever is seen ahead.
func TestNobodyIsFencedFromTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := &service{tokens: 100}, &fencer{}
		s.put(t, runningOn("a"))
		ahead, err := s.Join(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		o := options(bubbleClock())
		o.Fence = f.off
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		done := make(chan *Tenure, 1)
		go func() {
			ten, _ := Contend(ctx, s, o, Forever, func(Waiter) {})
			done <- ten
		}()
		<-time.After(40 * time.Second)
		if got := f.whom(); len(got) != 0 {
			t.Errorf("fenced %v from the queue", got)
		}
		s.remove(ahead.(*place))
		ten := <-done
		if ten == nil {
			t.Fatal("not granted")
		}
		if got := f.whom(); len(got) != 0 {
			t.Errorf("fenced %v before the tenure began", got)
		}
	})
}

// A hold-off that ends by itself, or a stop, ends the agent; nobody waits for it.
func TestFencingEndsWithTheHoldOff(t *testing.T) {
	for name, stopped := range map[string]bool{"passed": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			f := &fencer{takes: time.Hour}
			within(t, func(s *service, o *Options) {
				s.put(t, runningOn("a"))
				o.Fence = f.off
			}, func(s *service, c *contender) {
				if stopped {
					<-time.After(5 * time.Second)
				} else {
					<-c.leased
					<-time.After(time.Second)
					f.mu.Lock()
					if !f.killed {
						t.Error("the agent goes on after the hold-off")
					}
					f.mu.Unlock()
				}
				if _, err := c.t.Release(context.Background(), Drained, false); err != nil {
					t.Fatal(err)
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				if !f.killed {
					t.Error("the agent goes on after the release")
				}
			})
		})
	}
}

// E2, E7: whose network volumes may still get late writes is carried on until those were settled, fenced,
// or drained by the same boot of the same node.
func TestUndrainedAreCarried(t *testing.T) {
	theirs := Record{Phase: Dead, Token: 9, Node: "a", BootID: "boot of a", Volumes: []string{"v"}}
	ours := theirs
	ours.Node, ours.BootID = "n", "b"
	rebooted := ours
	rebooted.BootID = "before"
	elsewhere := ours
	elsewhere.Volumes = []string{"v", "w"}
	running := runningOn("a")
	running.Volumes, running.SettleMS = []string{"v"}, 0
	for name, c := range map[string]struct {
		found  Record
		settle time.Duration
		fence  bool
		carry  []string // nodes that the running record owes
		want   Phase    // after our own drain
		after  []string // nodes that the last record owes
	}{
		"theirs":                       {found: theirs, carry: []string{"a"}, want: Dead, after: []string{"a"}},
		"killed":                       {found: running, carry: []string{"a"}, want: Dead, after: []string{"a"}},
		"settled":                      {found: theirs, settle: time.Second, want: Drained},
		"fenced":                       {found: running, fence: true, want: Drained},
		"of this boot":                 {found: ours, carry: []string{"n"}, want: Drained},
		"of this node, another boot":   {found: rebooted, carry: []string{"n"}, want: Dead, after: []string{"n"}},
		"of this boot, other volumes":  {found: elsewhere, carry: []string{"n"}, want: Dead, after: []string{"n"}},
		"without volumes":              {found: runningOnWithout("a"), want: Drained},
		"unknown, and waited for":      {found: Record{Phase: Running, Token: 9, Node: "a", Owes: []Owed{{Unknown: true}}}, want: Drained},
		"two boots, one node each":     {found: withOwes(theirs, onNode(3, "c", "v"), onNode(4, "c", "w")), carry: []string{"c", "a"}, want: Dead, after: []string{"c", "a"}},
		"carried by one that is clean": {found: Record{Phase: Dead, Token: 9, Node: "a", Owes: []Owed{onNode(3, "c", "v")}}, carry: []string{"c"}, want: Dead, after: []string{"c"}},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(s *service, o *Options) {
				s.put(t, c.found)
				o.Volumes, o.Timing.Settle = []string{"v"}, c.settle
				if c.fence {
					o.Fence = (&fencer{}).off
				}
			}, func(s *service, ct *contender) {
				<-ct.leased
				w := s.written()
				if got := nodes(w[len(w)-1].Owes); !slices.Equal(got, c.carry) {
					t.Errorf("the running record owes %v: expected %v", got, c.carry)
				}
				phase, err := ct.t.Release(context.Background(), Drained, true)
				w = s.written()
				last := w[len(w)-1]
				if err != nil || phase != c.want || last.Phase != c.want || !slices.Equal(nodes(last.Owes), c.after) {
					t.Errorf("released as %s (%v) owing %v: expected %s, %v", phase, err, nodes(last.Owes), c.want, c.after)
				}
				if len(last.Volumes) != 0 {
					t.Errorf("volumes %v, though they were drained", last.Volumes)
				}
			})
		})
	}
}

func runningOnWithout(node string) Record {
	r := runningOn(node)
	r.SettleMS = 0
	return r
}

func withOwes(r Record, owes ...Owed) Record {
	r.Owes = owes
	return r
}

func nodes(owes []Owed) []string {
	var all []string
	for _, o := range owes {
		all = append(all, o.Node)
	}
	return all
}

// The record stays small, and says so where it had to forget a name: then no fence covers all.
func TestCarriedIsBounded(t *testing.T) {
	var owes []Owed
	for i := range 3 * maxCarried {
		owes = append(owes, onNode(fence.Token(i+1), fmt.Sprint("n", i), fmt.Sprint("v", i)))
	}
	got := carried(owes)
	if len(got) != maxCarried+1 || !got[maxCarried].Unknown || len(undrained(got)) != len(owes) {
		t.Errorf("%d are carried with %d volumes: expected %d, and unknown, with all volumes", len(got), len(undrained(got)), maxCarried)
	}
	if again := carried(append(got, onNode(1000, "more", "v"))); len(again) != maxCarried+1 || !again[maxCarried].Unknown {
		t.Errorf("%d are carried on: expected unknown to stay", len(again))
	}
}
