package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// probers is how many create one key at once. A store that lets two win lets nearly all win.
const probers = 16

// cleanUp bounds the removal of the probe's own keys when ctx has ended.
const cleanUp = 30 * time.Second

// Probe finds out whether Create has one winner, whatever the store's name and version say. It works under
// a key of its own, probe/RANDOM, which it removes. ErrUnfenced: it has not; anything else: the store did
// not let us look.
func Probe(ctx context.Context, s Store) (err error) {
	folder := "probe/" + rand.Text()
	one, many := folder+"/one", folder+"/many"
	defer func() {
		later, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		for _, key := range []string{one, many} {
			if gone := s.Delete(later, key); gone != nil && err == nil {
				err = fmt.Errorf("the probe's key %q stays in the store: %w", key, gone)
			}
		}
	}()
	if err := probeTwice(ctx, s, one); err != nil {
		return err
	}
	if err := probeRace(ctx, s, many); err != nil {
		return err
	}
	return probeList(ctx, s, folder, []string{many, one})
}

// probeTwice: the second Create of a key fails and changes nothing.
func probeTwice(ctx context.Context, s Store, key string) error {
	first := []byte("first " + rand.Text())
	if err := s.Create(ctx, key, first); err != nil {
		return fmt.Errorf("the probe cannot create an object: %w", err)
	}
	err := s.Create(ctx, key, []byte("second "+rand.Text()))
	if err == nil {
		return fmt.Errorf("%w: an object was created twice", ErrUnfenced)
	}
	if !errors.Is(err, ErrExists) && !errors.Is(err, ErrAmbiguous) {
		return fmt.Errorf("the probe's second create was to fail because the key exists: %w", err)
	}
	return probeHolds(ctx, s, key, first)
}

// probeRace: of many creators at once one wins, and its bytes are the ones that stay.
func probeRace(ctx context.Context, s Store, key string) error {
	bodies, errs := make([][]byte, probers), make([]error, probers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range probers {
		bodies[i] = fmt.Appendf(nil, "creator %d %s", i, rand.Text())
		all.Go(func() {
			<-start
			errs[i] = s.Create(ctx, key, bodies[i])
		})
	}
	close(start)
	all.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			return fmt.Errorf("%w: of %d that created one key at once, two were told that they had", ErrUnfenced, probers)
		case err == nil:
			winner = i
		case !errors.Is(err, ErrExists) && !errors.Is(err, ErrAmbiguous):
			return fmt.Errorf("the probe's concurrent create: %w", err)
		}
	}
	if winner < 0 {
		return probeAny(ctx, s, key, bodies)
	}
	return probeHolds(ctx, s, key, bodies[winner])
}

// probeAny: nobody was told that it won, so a lost reply hides it; it must be one of them all the same.
func probeAny(ctx context.Context, s Store, key string, bodies [][]byte) error {
	got, err := ReadAll(ctx, s, key, 1<<10)
	if err != nil {
		return fmt.Errorf("the probe cannot read its object back: %w", err)
	}
	for _, body := range bodies {
		if bytes.Equal(got, body) {
			return nil
		}
	}
	return fmt.Errorf("%w: the probe read %q, which nobody wrote", ErrDamaged, got)
}

func probeHolds(ctx context.Context, s Store, key string, want []byte) error {
	got, err := ReadAll(ctx, s, key, 1<<10)
	if err != nil {
		return fmt.Errorf("the probe cannot read its object back: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: what the winner had created was changed by a loser", ErrUnfenced)
	}
	return nil
}

// probeList: what was created is in the next list, in order; commits are found that way.
func probeList(ctx context.Context, s Store, folder string, want []string) error {
	for o, err := range s.List(ctx, folder+"/", "") {
		if err != nil {
			return fmt.Errorf("the probe cannot list its objects: %w", err)
		}
		if len(want) == 0 || o.Key != want[0] {
			return fmt.Errorf("%w: the probe's list has %q, expected %q next", ErrUnfenced, o.Key, want)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		return fmt.Errorf("%w: the probe's list lacks %q, just created: it is not consistent", ErrUnfenced, want)
	}
	return nil
}

// ReadAll reads one whole object of at most limit bytes.
func ReadAll(ctx context.Context, s Store, key string, limit int64) (data []byte, err error) {
	body, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(io.LimitReader(body, limit+1))
	if closed := body.Close(); err == nil {
		err = closed
	}
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("object %q: %w: more than %d bytes", key, ErrDamaged, limit)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}
