package lock

import (
	"cmp"
	"context"
	"slices"
)

// mustFence lists whom a confirmed `off` has to cover to end the wait (T6): every entry of owes and the
// record's writer, each node once with all its volumes; or says why no fence can. Only the loop calls it.
func (t *Tenure) mustFence() (nodes []Owed, why string) {
	switch {
	case t.previous == nil:
		return nil, "there is no state record, so nobody knows whom to fence"
	case t.in.unknown:
		return nil, "an unknown holder is owed, whom no fence covers"
	}
	r := t.previous
	owed := slices.Clone(t.in.owes)
	if !slices.ContainsFunc(owed, func(o Owed) bool { return o.Token == r.Token && o.Node == r.Node }) {
		owed = append(owed, Owed{Token: r.Token, Node: r.Node, BootID: r.BootID}) // of a `waiting` one
	}
	slices.SortStableFunc(owed, func(a, b Owed) int { return cmp.Compare(b.Token, a.Token) })
	for _, o := range owed {
		i := slices.IndexFunc(nodes, func(n Owed) bool { return n.Node == o.Node })
		switch {
		case o.Node == "":
			return nil, "a record does not name its node"
		case o.Node == t.o.Node || o.BootID == t.o.BootID:
			return nil, "node " + o.Node + " is this machine itself"
		case i < 0:
			nodes = append(nodes, o)
		default:
			nodes[i].Volumes = undrained([]Owed{nodes[i], o})
		}
	}
	return nodes, ""
}

// beginFencing has whom we wait for fenced beside the hold-off, which goes on: only once all are confirmed
// to be off does it end; a failure shortens nothing. It begins after our grant, because this tenure did.
// stop ends what is still under way; halt waits for it.
func (t *Tenure) beginFencing(ctx context.Context) (stop func()) {
	if t.o.Fence == nil || t.left() == 0 {
		return func() {}
	}
	nodes, why := t.mustFence()
	if len(nodes) == 0 {
		t.o.Warn("nobody is fenced in this hold-off", "cause", why)
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	t.flight.Add(1)
	go func() {
		defer t.flight.Done()
		t.fenceAll(ctx, nodes)
	}()
	return cancel
}

func (t *Tenure) fenceAll(ctx context.Context, nodes []Owed) {
	names := ""
	for _, o := range nodes {
		t.o.Warn("fencing an earlier holder's node", "node", o.Node, "its_token", o.Token)
		err := t.o.Fence(ctx, t.token, o)
		switch {
		case ctx.Err() != nil: // the hold-off is over: nothing to shorten
			return
		case err != nil:
			t.o.Warn("fencing failed: the hold-off is waited out", "node", o.Node, "cause", err)
			return
		}
		t.o.Warn("fenced: confirmed to be off", "node", o.Node, "its_token", o.Token)
		names += " " + o.Node
	}
	t.mu.Lock()
	t.in.why = "fenced, and confirmed to be off:" + names
	t.mu.Unlock()
	t.fenced.Store(true)
	t.Beat()
}

// settled clears what was owed: the whole wait has passed (T4), or T6 has ended it. Who left network volumes
// undrained is carried on until a settle was waited for, all were fenced, or somebody drains there (E7).
func (t *Tenure) settled() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.in.settle > 0 || t.fenced.Load() {
		t.in.owes, t.in.volumes, t.in.unknown = nil, nil, false
		return
	}
	t.in.owes = carried(t.in.owes)
}

// maxCarried bounds the record: more boots of nodes than this with undrained volumes are an unknown one.
const maxCarried = 100

// carried are those whose late writes are still possible, one for each boot of a node: what one kernel has
// to send is all drained, or all fenced.
func carried(owes []Owed) []Owed {
	var all []Owed
	lost := false
	for _, o := range owes {
		i := slices.IndexFunc(all, func(a Owed) bool { return !a.Unknown && a.Node == o.Node && a.BootID == o.BootID })
		switch {
		case o.Unknown:
			lost = lost || len(owes) > maxCarried // it stands for those who did not fit
		case len(o.Volumes) == 0:
		case i < 0:
			all = append(all, o)
		default:
			all[i].Token = max(all[i].Token, o.Token)
			all[i].Volumes = undrained([]Owed{all[i], o})
		}
	}
	if over := len(all) - maxCarried; over > 0 {
		all[over].Volumes = undrained(all[:over+1])
		all, lost = all[over:], true
	}
	if lost {
		all = append(all, Owed{Unknown: true})
	}
	return all
}

// afterDrain is what is still carried once we have drained our own volumes: what an earlier payload of this
// same boot had to send to those that SetVolumes named last went with it.
func (t *Tenure) afterDrain() []Owed {
	ours := t.volumes()
	return slices.DeleteFunc(slices.Clone(t.in.owes), func(o Owed) bool {
		return !o.Unknown && o.Node == t.o.Node && o.BootID == t.o.BootID &&
			!slices.ContainsFunc(o.Volumes, func(v string) bool { return !slices.Contains(ours, v) })
	})
}
