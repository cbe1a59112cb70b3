package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/mutate"
)

// Options is what a contender brings besides the driver. All fields but ProvenEmpty, Fence and Volumes are
// required.
type Options struct {
	Timing         Timing
	Epoch          int // token epoch
	Holder         string
	Node           string // the name that the fence agent knows
	BootID         string
	Volumes        []string // network mounts that the payload will use
	RequireDrained bool
	// Foreign tells that other programs contend, too, as in the Settings of the driver.
	Foreign bool
	// NeverRan reads each configured place of a claim, after the grant; true only if all were read and
	// hold none (T3).
	NeverRan func(ctx context.Context) bool
	// ProvenEmpty tells whether the kill domain on record is proven empty on this same boot (file driver).
	ProvenEmpty func(bootID string, d Domain) (bool, string)
	// Fence switches the whole node of an earlier holder off; nil only if that is confirmed (T6). It is called
	// in the hold-off alone, beside its heartbeats, and must return soon after ctx ended.
	Fence func(ctx context.Context, own fence.Token, o Owed) error
	Clock clock.Source
	Log   func(msg string, args ...any) // for debugging
	Warn  func(msg string, args ...any) // for the operator
}

// joinPause lies between tries to reach a service that does not answer.
const joinPause = 250 * time.Millisecond

// Forever is the wait that never ends.
const Forever time.Duration = -1

// Contend queues until the lock is granted, then reads the record once (T1) and returns the tenure with
// its hold-off still to wait: call Tenure.Begin. wait bounds only the time until the grant: Forever, or 0
// for one try. Within it an unreachable service and a place lost before the grant are tried again; after
// it the error is ErrHeld, with who holds the lock, or ErrUnreachable. ErrCredentials, ErrConfig,
// ErrBadRecord, ErrTokenBack and ErrUndrained come at once, with the own key deleted and nothing written;
// ErrLost means that the key went after the grant. queued is called, repeatedly, with the key just ahead.
func Contend(ctx context.Context, d Driver, o Options, wait time.Duration, queued func(ahead Waiter)) (*Tenure, error) {
	patience, cancel := patienceOf(ctx, wait, o.Timing)
	defer cancel()
	var last error
	for patience.Err() == nil {
		place, err := d.Join(patience)
		switch {
		case err == nil:
			t, err := compete(ctx, patience, d, place, o, wait == 0, queued)
			if err == nil || !errors.Is(err, ErrPlaceLost) {
				return t, err
			}
			o.Log("lost the place in the queue before the grant, joining anew", "cause", err)
			pause(patience, joinPause)
		case !errors.Is(err, ErrUnreachable) && patience.Err() == nil, wait == 0:
			return nil, unanswered(err)
		default:
			if last == nil {
				o.Warn("the lock service cannot be reached; trying again for as long as lock-wait allows", "cause", err)
			}
			last = err
			pause(patience, joinPause)
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(last, ErrUnreachable) {
		return nil, last
	}
	return nil, heldError(d, o.Timing)
}

// patienceOf bounds the time until the grant; one try gets as long as its n tries may take.
func patienceOf(ctx context.Context, wait time.Duration, t Timing) (context.Context, context.CancelFunc) {
	switch wait {
	case Forever:
		return context.WithCancel(ctx)
	case 0:
		return context.WithTimeout(ctx, time.Duration(t.Tries)*t.TryTimeout)
	}
	return context.WithTimeout(ctx, wait)
}

// compete waits in one place until it is granted, lost, or the caller's patience ends. From the grant on
// the patience no longer counts.
func compete(ctx, patience context.Context, d Driver, place Place, o Options, once bool, queued func(Waiter)) (*Tenure, error) {
	if once {
		if err := freeOrHeld(patience, d, place, o); err != nil {
			leave(place, o)
			return nil, err
		}
	}
	seen := observations{}
	err := await(patience, place, &seen, queued)
	if err == nil {
		t, err := takeOver(ctx, place, o, &seen)
		if err != nil {
			leave(place, o)
			return nil, err
		}
		return t, nil
	}
	leave(place, o)
	if errors.Is(err, ErrPlaceLost) {
		return nil, err
	}
	if errors.Is(err, ErrUnreachable) { // a new place may do better
		return nil, fmt.Errorf("%w: %w", ErrPlaceLost, err)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case patience.Err() != nil:
		return nil, heldError(d, o.Timing)
	}
	return nil, err
}

// await is Place.Await with somebody telling who is ahead meanwhile.
func await(ctx context.Context, place Place, seen *observations, queued func(Waiter)) error {
	granted := make(chan struct{})
	told := tellQueue(place, granted, queued)
	defer func() { close(granted); <-told }()
	return place.Await(ctx, seen.saw)
}

// tellQueue reports the key ahead once the driver knows it, for the log and status.
func tellQueue(place Place, granted <-chan struct{}, queued func(Waiter)) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-granted:
				return
			case <-tick.C:
				place.Pulse()
				if w := place.Ahead(); w != (Waiter{}) {
					queued(named(w))
				}
			}
		}
	}()
	return done
}

// named gives a key of another program that says nothing about itself a name for people.
func named(w Waiter) Waiter {
	if w.Foreign && w.Holder == "" {
		w.Holder = "another program (key " + w.Key + ")"
	}
	return w
}

// freeOrHeld is the one look of `--lock-wait 0`: ErrHeld if somebody is ahead of our own key.
func freeOrHeld(ctx context.Context, d Driver, place Place, o Options) error {
	v, err := d.View(ctx)
	if err != nil {
		return unanswered(err)
	}
	if len(v.Queue) == 0 || v.Queue[0].Token.Raw() == place.RawToken() {
		return nil
	}
	if first := v.Queue[0]; first.Foreign && !o.Foreign {
		return ForeignAhead(first)
	}
	return heldBy(v)
}

// unanswered names a request that came to its time limit, whoever set that, for what it is.
func unanswered(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrUnreachable) {
		return fmt.Errorf("%w: it does not answer: %w", ErrUnreachable, err)
	}
	return err
}

// heldError says who holds the lock, as far as one more look tells.
func heldError(d Driver, t Timing) error {
	// A look is a connect and several requests: as long as n tries, or a slow service counts as none.
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(t.Tries)*t.TryTimeout)
	defer cancel()
	v, err := d.View(ctx)
	if err != nil {
		return fmt.Errorf("%w (and so who holds the lock is not known)", unanswered(err))
	}
	return heldBy(v)
}

func heldBy(v View) error {
	if len(v.Queue) == 0 {
		return fmt.Errorf("%w: it became free only now", ErrHeld)
	}
	h := v.Queue[0]
	since := "an unknown time"
	if !h.Since.IsZero() {
		since = h.Since.UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("%w: %s holds it since %s with token %s (key %s)", ErrHeld, orUnknown(named(h).Holder), since, h.Token, h.Key)
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown holder"
	}
	return s
}

// takeOver is T1 to T3: the one linearizable read before any write, and what it makes us owe.
func takeOver(ctx context.Context, place Place, o Options, seen *observations) (*Tenure, error) {
	token, err := tokenOf(place, o)
	if err != nil {
		return nil, err
	}
	stored, readAt, err := readUntil(ctx, place, o)
	if err != nil {
		return nil, err
	}
	t := newTenure(place, token, stored.Version, o)
	if o.Foreign && t.foreign.place == nil {
		return nil, fmt.Errorf("%w: this kind of lock has no foreign peers: turn --foreign-peers off", ErrConfig)
	}
	if !stored.Exists() {
		// Absence is no version: what is owed counts from this read alone (T3). Other programs leave no claim.
		t.observed, t.in = readAt, inheritNothing(o.Timing, !o.Foreign && o.NeverRan(ctx))
		return t, t.mayTakeOver()
	}
	r, err := DecodeRecord(stored.Data, o.Timing)
	if err != nil {
		return nil, err
	}
	if r.Token > token && !mutate.Broken("token-not-compared") { // section 1: the order of tokens
		return nil, fmt.Errorf("%w: ours would be %s but %s on node %s had %s: was the lock service rebuilt or restored? then raise --token-epoch above %d on every node",
			ErrTokenBack, token, r.Holder, r.Node, r.Token, max(o.Epoch, r.Token.Epoch()))
	}
	t.previous = &r
	t.observed = seen.earliest(stored.Version, readAt)
	t.in = inherit(r, token, o.Timing)
	t.mindForeign(ctx, r, stored.Version, readAt)
	return t, t.mayTakeOver()
}

func tokenOf(place Place, o Options) (fence.Token, error) {
	token, err := fence.NewToken(o.Epoch, place.RawToken())
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return token, nil
}

func (t *Tenure) mayTakeOver() error {
	if !t.o.RequireDrained {
		return nil
	}
	return t.in.refuseUndrained()
}

// readUntil repeats the read of T1 until it succeeds: a failed read is never "absent". The stamp is
// taken after the reply, as a successor's must be.
func readUntil(ctx context.Context, place Place, o Options) (Stored, clock.Stamp, error) {
	for {
		try, cancel := context.WithTimeout(ctx, o.Timing.TryTimeout)
		stored, err := place.Read(try)
		at := o.Clock()
		cancel()
		if err == nil {
			return stored, at, nil
		}
		if ctx.Err() != nil {
			return Stored{}, at, ctx.Err()
		}
		if closed(place.Gone()) {
			return Stored{}, at, fmt.Errorf("%w: the lock key went before the state record was read: %w", ErrLost, err)
		}
		if errors.Is(err, ErrCredentials) || errors.Is(err, ErrConfig) {
			return Stored{}, at, err
		}
		o.Log("cannot read the state record after the grant, trying again", "cause", err)
		place.Pulse()
		pause(ctx, joinPause)
	}
}

// observations keeps the earliest stamp at which each version was seen (T2); the content that a watcher
// saw is never used.
type observations struct {
	at map[int64]clock.Stamp
}

func (s *observations) saw(v Version, at clock.Stamp) {
	if s.at == nil {
		s.at = map[int64]clock.Stamp{}
	}
	if _, known := s.at[v.Seen]; !known && v != (Version{}) {
		s.at[v.Seen] = at
	}
	const enough = 64 // a waiter may watch for months, and only the newest version can be the last
	if len(s.at) > enough {
		s.at = map[int64]clock.Stamp{v.Seen: s.at[v.Seen]}
	}
}

func (s *observations) earliest(v Version, readAt clock.Stamp) clock.Stamp {
	if mutate.Broken("other-t-obs") && len(s.at) > 0 { // T2: the stamp of exactly that version
		return slices.MinFunc(slices.Collect(maps.Values(s.at)), func(a, b clock.Stamp) int { return cmp.Compare(a.Boot, b.Boot) })
	}
	if at, ok := s.at[v.Seen]; ok {
		return at
	}
	return readAt
}

// leave gives up a place without touching the record; a key that cannot be deleted now expires.
func leave(place Place, o Options) {
	ctx, cancel := context.WithTimeout(context.Background(), o.Timing.TryTimeout)
	defer cancel()
	if err := place.Leave(ctx); err != nil {
		o.Log("could not delete the own key; it expires by itself", "cause", err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
