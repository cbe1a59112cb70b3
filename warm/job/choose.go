package job

import (
	"context"
	"errors"
	"fmt"
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
}

// Choose gives the newest dump of each node that is not damaged, in the order of the sources. at is Latest, an
// ID, or a time which none may be later than.
func Choose(ctx context.Context, sources []Source, at string) ([]Held, error) {
	var all []Held
	for _, s := range sources {
		cat, err := s.Repository.Catalog(ctx)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s.Name, err)
		}
		all = newest(all, s, cat.Live, at)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s: expected one that `interlock warm dump` has made", ErrNone, asked(sources, at))
	}
	return all, nil
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

// newest adds those of one source. A node whose dumps lie in two stores counts once, with the newer.
func newest(all []Held, from Source, live []snapshot.Snapshot, at string) []Held {
	limit, err := time.Parse(time.RFC3339, at)
	timed := err == nil
	for _, s := range live { // oldest first
		switch {
		case s.About.Mode != stored.Mode || s.Damaged != "":
			continue
		case timed && s.Time.After(limit), !timed && at != Latest && string(s.ID) != at:
			continue
		}
		h := Held{from, s, s.About.Labels[NodeLabel]}
		known := false
		for i := range all {
			if all[i].Node == h.Node {
				known = true
				if !s.Time.Before(all[i].Snapshot.Time) {
					all[i] = h
				}
			}
		}
		if !known {
			all = append(all, h)
		}
	}
	return all
}
