package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/stored"
)

// ErrNone is that there is no dump to load.
var ErrNone = errors.New("no dump of a cache")

// Latest asks for the newest dumps.
const Latest = "latest"

// A Source is a repository with dumps.
type Source struct {
	Name       string // for messages
	Repository *snapshot.Repository
}

// A Held is a dump that was chosen.
type Held struct {
	Source
	Snapshot snapshot.Snapshot
	Node     string // whose; empty: it is of no ring
	Rank     int    // 0, or 1: it is older and fuller than the newest one of its node, which was cold
}

// Choose gives the newest dump of each node that is not damaged, in the order of the sources. at is Latest, an
// ID, or a time which none may be later than. Where that one was made of a cache that was still cold, the newest
// one before that was not comes, too, with a rank behind it.
func Choose(ctx context.Context, sources []Source, at string) ([]Held, error) {
	var all []Held
	for _, s := range sources {
		cat, err := s.Repository.Catalog(ctx)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s.Name, err)
		}
		all = append(all, candidates(s, cat.Live, at)...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s: expected one that `interlock warm dump` has made", ErrNone, asked(sources, at))
	}
	return newest(all), nil
}

func asked(sources []Source, at string) string {
	text := fmt.Sprintf("%d stores", len(sources))
	if len(sources) == 1 {
		text = "store " + sources[0].Name
	}
	if at != Latest {
		text += ", " + at
	}
	return text
}

// candidates are the dumps of one source that may be taken.
func candidates(from Source, live []snapshot.Snapshot, at string) (all []Held) {
	limit, err := time.Parse(time.RFC3339, at)
	timed := err == nil
	for _, s := range live {
		switch {
		case s.About.Mode != stored.Mode || s.Damaged != "":
			continue
		case timed && s.Time.After(limit), !timed && at != Latest && string(s.ID) != at:
			continue
		}
		all = append(all, Held{Source: from, Snapshot: s, Node: s.About.Labels[NodeLabel]})
	}
	return all
}

// newest takes of each node the newest, also where its dumps lie in two stores, and behind one that was cold the
// newest one that was not.
func newest(all []Held) (chosen []Held) {
	slices.SortStableFunc(all, func(a, b Held) int { return b.Snapshot.Time.Compare(a.Snapshot.Time) })
	cold := map[string]bool{} // of each node: all so far were
	for _, h := range all {
		before, known := cold[h.Node]
		now := isCold(&h.Snapshot)
		switch {
		case !known:
			chosen = append(chosen, h)
		case before && !now:
			h.Rank = 1
			chosen = append(chosen, h)
		}
		cold[h.Node] = now && (before || !known)
	}
	return chosen
}
