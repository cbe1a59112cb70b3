package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/store"
)

// run makes the repository and lets everybody loose.
func (w *world) run() error {
	if _, err := w.as.init(w.mem, Scope{}); err != nil {
		return err
	}
	actors := map[*actor]func(*actor){}
	add := func(name string, f func(*actor)) {
		actors[&actor{name: name, s: w.sched, mem: w.mem, turn: make(chan struct{})}] = f
	}
	if w.many {
		w.manyCommits(add)
	} else {
		w.manyTokens(add)
	}
	if err := w.sched.run(actors); err != nil {
		return err
	}
	return w.wrong
}

// manyTokens is holders of three tokens, each with a second writer, a sweeper and an operator under the
// same token; one of another lock, and one without any.
func (w *world) manyTokens(add func(string, func(*actor))) {
	for token := fence.Token(1); token <= 3; token++ {
		who := Holder{token, Scope{"db", "etcd"}}
		later := func(f func(*actor)) func(*actor) {
			return func(a *actor) {
				for range w.rnd.IntN(15) * int(token-1) {
					a.step()
				}
				f(a)
			}
		}
		add(fmt.Sprintf("holder %d", token), later(func(a *actor) { w.holder(a, who) }))
		add(fmt.Sprintf("writer %d", token), later(func(a *actor) { w.writer(w.openKey(a), who, 3) }))
		add(fmt.Sprintf("sweeper %d", token), later(func(a *actor) { w.sweeper(w.open(a), who) }))
		add(fmt.Sprintf("operator %d", token), later(func(a *actor) { w.operator(w.open(a), who) }))
	}
	add("foreign", func(a *actor) { w.writer(w.openKey(a), Holder{9, Scope{"db", "zookeeper"}}, 1) })
	add("nobody", func(a *actor) { w.writer(w.openKey(a), Holder{}, 2) })
}

// manyCommits is several programs of one token, of which one commits all the time.
func (w *world) manyCommits(add func(string, func(*actor))) {
	who := Holder{1, Scope{"db", "etcd"}}
	add("writer 1", func(a *actor) { w.writer(w.openKey(a), who, 3) })
	add("writer 2", func(a *actor) { w.writer(w.openKey(a), who, 3) })
	add("sweeper", func(a *actor) { w.sweeper(w.open(a), who) })
	add("operator", func(a *actor) { w.operator(w.open(a), who) })
	add("pinner", func(a *actor) { w.pinner(w.open(a), who) })
}

// pinner commits without end, as far as the model knows.
func (w *world) pinner(r *Repository, who Holder) {
	ctx := context.Background()
	for i := range 60 {
		c, err := r.Catalog(ctx)
		if s, some := c.Newest(); err == nil && some {
			_, _ = r.MarkDamaged(ctx, who, s.ID, fmt.Sprint(i)) // so that it is no parent, and the next is a full one
		}
		if i%4 == 3 {
			_, _ = r.Collect(ctx, who, false)
		}
	}
}

func (w *world) open(a *actor) *Repository {
	counts := windows{publish: 4, dead: 6}
	if w.many {
		counts = windows{publish: 2, dead: 3}
	}
	r, err := newRepository(w.repository(), a, testNow)
	if err != nil {
		w.fail("%v", err)
	}
	r.windows, r.dropped = counts, w.dropped
	return r
}

// openKey is open for one who reads manifests.
func (w *world) openKey(a *actor) *Repository {
	r := w.open(a)
	if w.as.key != nil {
		r.keys = newKeyring([]age.Identity{w.as.key})
	}
	return r
}

// holder claims, chooses what to restore, and then takes snapshots.
func (w *world) holder(a *actor, who Holder) {
	r := w.openKey(a)
	c, err := r.Claim(context.Background(), who)
	if w.dropped == ruleClaim {
		c, err = r.Catalog(context.Background())
	}
	if err != nil {
		return
	}
	w.chosen[uint64(who.Token)] = c.Number
	w.writer(r, who, 3)
}

func (w *world) writer(r *Repository, who Holder, count int) {
	for range count {
		d := w.written(r, who)
		if d == nil {
			continue
		}
		if w.rnd.IntN(6) == 0 { // as if it had failed; what is discarded is published no more
			w.discard(d)
		}
		w.publish(d)
	}
}

// publish tries until it knows, as a caller does.
func (w *world) publish(d *Draft) {
	var err error
	for range 3 {
		if _, err = d.Publish(context.Background()); err == nil || !errors.Is(err, ErrUncertain) && !errors.Is(err, store.ErrUnreachable) {
			break
		}
	}
	w.told(d.Snapshot.ID, err)
	if err != nil {
		w.discard(d)
	}
}

// discard gives up what was not published, by its own word: that of others is in the catalog, and told from outside.
func (w *world) discard(d *Draft) { _ = d.Discard(context.Background()) }

// written stores what a snapshot on top of the newest one would: packs of its own and some of its parent's.
func (w *world) written(r *Repository, who Holder) *Draft {
	ctx := context.Background()
	d, err := r.Begin(ctx, who, BeginOptions{})
	if err != nil {
		return nil
	}
	runs := []Run{aRun(Pack{d.Snapshot.ID, 0}), aRun(Pack{d.Snapshot.ID, 1})}
	if d.Parent.ID != "" {
		inherited, err := parentRuns(ctx, r, d.Parent)
		if err != nil {
			return nil
		}
		for _, run := range inherited {
			if w.rnd.IntN(3) > 0 {
				runs = append(runs, run)
			}
		}
	}
	puts := []func() error{
		func() error { return putPack(ctx, r.store, Pack{d.Snapshot.ID, 0}) },
		func() error { return putPack(ctx, r.store, Pack{d.Snapshot.ID, 1}) },
		func() error { return w.putManifest(ctx, d, runs) },
	}
	if w.dropped == rulePacksFirst {
		if err := w.putManifest(ctx, d, runs); err != nil {
			return nil
		}
		d.written = true
		w.publish(d)
	}
	for _, put := range puts {
		if put() != nil {
			return nil
		}
	}
	d.written = true
	return d
}

// sweeper forgets all but the last, and collects.
func (w *world) sweeper(r *Repository, who Holder) {
	ctx := context.Background()
	for range 5 {
		c, err := r.Catalog(ctx)
		if err != nil {
			continue
		}
		if ids := (Keep{Last: 1}).Drop(c.Live); len(ids) > 0 {
			_, _ = r.Forget(ctx, who, ids, false) // refused or not, what matters is what is there afterwards
		}
		_, _ = r.Collect(ctx, who, false)
	}
}

// operator abandons what looks left over, whether it is or not, and collects.
func (w *world) operator(r *Repository, who Holder) {
	ctx := context.Background()
	for range 2 {
		found, err := r.Collect(ctx, who, true)
		if err != nil || len(found.Current) == 0 {
			continue
		}
		_, _ = r.Abandon(ctx, who, found.Current[:1])
		_, _ = r.Collect(ctx, who, false)
	}
}

func aRun(p Pack) Run {
	return Run{Len: 10, Frame: Frame{Pack: p, Stored: 10, Raw: 10}, Sums: make([]Sum, 1)}
}

func putPack(ctx context.Context, st store.Store, p Pack) error {
	return st.Put(ctx, p.key(), bytes.NewReader([]byte("0123456789")), 10)
}

// putManifest writes one with a file for each run.
func (w *world) putManifest(ctx context.Context, d *Draft, runs []Run) error {
	var out bytes.Buffer
	m, err := newManifestWriter(&out, Header{"manifest", Format, d.repo.ID, d.Snapshot.ID, d.Snapshot.Parent, minChunk})
	if err != nil {
		return err
	}
	for i := range runs {
		e := Entry{Path: fmt.Sprintf("%04d", i), Kind: File, File: FileInfo{Size: 10, Chunk: minChunk}}
		if err := errors.Join(m.entry(&e), m.run(&runs[i])); err != nil {
			return err
		}
	}
	if d.Snapshot.Manifest, err = m.finish(); err != nil {
		return err
	}
	stored := out.Bytes()
	if w.as.key != nil {
		if err := w.putList(ctx, d, m.packs.owners()); err != nil {
			return err
		}
		if stored, err = sealedBytes(d.repo.seal, stored); err != nil {
			return err
		}
		d.Snapshot.Manifest = Object{Size: int64(len(stored)), Raw: m.raw, Sum: SumOf(stored)}
	}
	return d.repo.store.Put(ctx, d.Snapshot.ID.manifestKey(), bytes.NewReader(stored), int64(len(stored)))
}

func (w *world) putList(ctx context.Context, d *Draft, owners []ownerLine) error {
	list, err := d.newPackList(w.scratch)
	if err != nil {
		return err
	}
	for i := range 2 {
		err = errors.Join(err, list.add(i, []byte("0123456789")))
	}
	if err == nil {
		d.Snapshot.Packs, err = list.store(ctx, d, owners)
	}
	return errors.Join(err, list.close())
}

func sealedBytes(s *seal, plain []byte) ([]byte, error) {
	var out bytes.Buffer
	in, err := s.sealed(&out)
	if err != nil {
		return nil, err
	}
	_, err = in.Write(plain)
	err = errors.Join(err, in.Close())
	return out.Bytes(), err
}

func parentRuns(ctx context.Context, r *Repository, s Snapshot) (runs []Run, err error) {
	m, err := r.Manifest(ctx, s)
	if err != nil {
		return nil, err
	}
	for w, err := range m.Wants() {
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		runs = append(runs, w.Run)
	}
	return runs, m.Close()
}

// namedIn is the keys of the packs that a stored manifest names, and of what else must be there.
func (w *world) namedIn(id ID, manifest []byte) (keys []string) {
	var opened func(io.Reader) (io.Reader, error)
	if w.as.key != nil {
		opened = func(r io.Reader) (io.Reader, error) { return age.Decrypt(r, w.as.key) }
		keys = append(keys, id.packsKey())
	}
	l, err := newLines(io.NopCloser(bytes.NewReader(manifest)), Object{Size: 1 << 40, Raw: 1 << 40}, opened)
	if err != nil {
		return []string{err.Error()}
	}
	defer l.dec.Close()
	for line, err := l.next(); err == nil; line, err = l.next() {
		var run struct{ Pack string }
		if json.Unmarshal(line, &run) == nil && run.Pack != "" {
			p, _ := parsePack(run.Pack) // made by appendRun
			keys = append(keys, p.key())
		}
	}
	return keys
}
