package courier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

// A session is an open repository.
type session struct {
	store Store
	repo  *snapshot.Repository
}

// connect opens the repository, without a second try.
func (w *courier) connect(ctx context.Context, r Request) (*session, error) {
	st, err := w.open(r.Store)
	if err != nil {
		return nil, err
	}
	repo, err := snapshot.Open(ctx, st, time.Now)
	if err == nil && r.Store.IdentityFile != "" {
		err = unlock(repo, r.Store.IdentityFile)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &session{st, repo}, nil
}

// unlock lets an encrypted repository be read. A backup needs none of it.
func unlock(repo *snapshot.Repository, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store.identity_file: %w: %w", snapshot.ErrIdentity, err)
	}
	ids, err := snapshot.ParseIdentities(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("store.identity_file %s: %w", path, err)
	}
	return repo.UseIdentities(ids...)
}

// reach opens the repository and does a first thing with it, again and again while the store may answer
// later, until the time for that is up. A store that is not reached is never taken for an empty one: the
// caller ends by the error.
func (w *courier) reach(ctx context.Context, r Request, first func(context.Context, *session) error) error {
	s, err := w.reached(ctx, r, first)
	if err != nil {
		return err
	}
	return s.store.Close()
}

// reached is reach, and leaves the repository open.
func (w *courier) reached(ctx context.Context, r Request, first func(context.Context, *session) error) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Reach, fmt.Errorf("not reached within %v", r.Reach))
	defer cancel()
	var s *session
	err := w.persist(ctx, func() error {
		open, err := w.connect(ctx, r)
		if err != nil {
			return err
		}
		if err := first(ctx, open); err != nil {
			return errors.Join(err, open.store.Close())
		}
		s = open
		return nil
	})
	if err != nil {
		err = fmt.Errorf("store %s: %w", r.Store.URL, err)
		if strange(err) { // what ours is cannot be reached: to the verbs, where a person types the place, it is a wrong one
			err = exit.With(exit.Unreachable, err)
		}
		return nil, err
	}
	return s, nil
}

// answers is the first thing that is asked of a store by whoever commits nothing: is there a repository of ours.
func answers(ctx context.Context, s *session) error {
	_, err := s.repo.Catalog(ctx)
	return err
}

// Waits between tries.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	// maxStrange bounds how often a place that answers and holds no repository of ours is asked again: a
	// directory's mount or a proxy may be late, but a mistyped name is wrong for ever.
	maxStrange = 4
)

func (w *courier) persist(ctx context.Context, try func() error) error {
	pause, odd := firstPause, 0
	for {
		err := try()
		if err == nil {
			return nil
		}
		if strange(err) {
			if odd++; odd == maxStrange {
				return err
			}
		} else if !passing(err) {
			return err
		}
		w.log.Warn("the snapshot store is tried again", "cause", oneLine(err), "in", pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		pause = min(2*pause, maxPause)
	}
}

// strange tells of a place that answers, and is no repository that we can read.
func strange(err error) bool {
	return errors.Is(err, snapshot.ErrMissing) || errors.Is(err, snapshot.ErrForeign)
}

// passing tells whether an error may be gone at the next try.
func passing(err error) bool {
	for _, e := range []error{store.ErrUnreachable, store.ErrAmbiguous, store.ErrNoPlace, store.ErrFull, snapshot.ErrUncertain, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
