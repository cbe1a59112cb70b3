package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/interlock-run/interlock/fence"
)

// A Catalog is one commit: the complete list of what is live. Its number is in its key, and only one
// writer can make each.
type Catalog struct {
	Format     int         `json:"format"`
	Repository string      `json:"repository"`
	Number     uint64      `json:"number"`
	Nonce      string      `json:"nonce"`            // of the writer's attempt: tells it its own commit after a lost reply
	Before     string      `json:"before,omitempty"` // the nonce of the catalog before
	Token      fence.Token `json:"token,string"`     // the highest that has committed; 0 is none
	Scope      Scope       `json:"scope,omitzero"`   // from the first commit with a token on
	Time       time.Time   `json:"time"`             // by the writer's clock, for people
	Why        string      `json:"why"`              // claim, publish, forget, ...
	Live       []Snapshot  `json:"live"`             // in the order of publication
	Dead       []Dead      `json:"dead,omitempty"`   // were live; their objects may still be there
}

// A Scope is the lock whose tokens a repository knows: numbers of two locks cannot be compared.
type Scope struct {
	Lock string `json:"lock"` // its name
	Kind string `json:"kind"` // of its tokens: zookeeper, etcd, file
}

// A Snapshot is one that is live.
type Snapshot struct {
	ID       ID        `json:"id"`
	Number   uint64    `json:"number"` // of the catalog that published it
	Parent   ID        `json:"parent,omitempty"`
	Time     time.Time `json:"time"` // of its start, by the writer's clock
	Manifest Object    `json:"manifest"`
	Packs    Object    `json:"packs,omitzero"` // of an encrypted repository: the plain list of packs
	Entries  int64     `json:"entries"`
	Bytes    int64     `json:"bytes"`  // of all files
	Stored   int64     `json:"stored"` // that this one added
	About    About     `json:"about,omitzero"`
	Pin      string    `json:"pin,omitempty"`     // why it must stay
	Damaged  string    `json:"damaged,omitempty"` // what a verification found
}

// About is what a writer tells of a snapshot, for people and for the choice of what to restore.
type About struct {
	Mode    string            `json:"mode,omitempty"`   // cold, hook, command, ...
	Preset  string            `json:"preset,omitempty"` // mariadb-dump, ...
	Holder  string            `json:"holder,omitempty"`
	Node    string            `json:"node,omitempty"`
	Release string            `json:"release,omitempty"` // of the program
	Labels  map[string]string `json:"labels,omitempty"`
}

// A Dead is one that was live, or was abandoned: it never becomes live again.
type Dead struct {
	ID ID     `json:"id"`
	At uint64 `json:"at"` // number of the catalog that moved it
}

// Find gives the live snapshot of that id.
func (c *Catalog) Find(id ID) (*Snapshot, bool) {
	i := slices.IndexFunc(c.Live, func(s Snapshot) bool { return s.ID == id })
	if i < 0 {
		return nil, false
	}
	return &c.Live[i], true
}

// Newest is the snapshot that was published last; false where none is live.
func (c *Catalog) Newest() (Snapshot, bool) {
	if len(c.Live) == 0 {
		return Snapshot{}, false
	}
	return c.Live[len(c.Live)-1], true
}

func (c *Catalog) dead(id ID) bool {
	return slices.ContainsFunc(c.Dead, func(d Dead) bool { return d.ID == id })
}

func (c *Catalog) encode() ([]byte, error) {
	data, err := json.Marshal(c)
	if err == nil && len(data) >= maxCatalog {
		err = fmt.Errorf("catalog %d: %d bytes for %d snapshots, expected less than %d: forget some", c.Number, len(data), len(c.Live), maxCatalog)
	}
	return append(data, '\n'), err
}

// decodeCatalog reads a stored catalog and refuses what the rules could not have made.
func decodeCatalog(data []byte, of *Config, number uint64) (Catalog, error) {
	var c Catalog
	if err := probeFormat(data, of.Format); err != nil {
		return Catalog{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&c); err != nil {
		return Catalog{}, damaged("catalog %d: %v", number, err)
	}
	if dec.More() {
		return Catalog{}, damaged("catalog %d: goes on after its end", number)
	}
	if err := c.check(of, number); err != nil {
		return Catalog{}, fmt.Errorf("catalog %d: %w", number, err)
	}
	return c, nil
}

// probeFormat tells a newer format from damage.
func probeFormat(data []byte, want int) error {
	var f struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return damaged("catalog: not JSON: %v", err)
	}
	if f.Format != want {
		return fmt.Errorf("%w: catalog of format %d in a repository of format %d", ErrForeign, f.Format, want)
	}
	return nil
}

func (c *Catalog) check(of *Config, number uint64) error {
	switch {
	case c.Repository != of.ID:
		return damaged("belongs to repository %.40q, expected %s", c.Repository, of.ID)
	case c.Number != number:
		return damaged("says that it is number %d", c.Number)
	case c.Nonce == "" || c.Nonce == c.Before:
		return damaged("nonce %.40q after %.40q", c.Nonce, c.Before)
	case (c.Token != 0) && c.Scope == (Scope{}):
		return damaged("token %s without a scope", c.Token)
	case len(c.Live) > maxLive || len(c.Dead) > maxLive:
		return damaged("%d live and %d dead, expected at most %d", len(c.Live), len(c.Dead), maxLive)
	}
	return c.checkIDs(of)
}

func (c *Catalog) checkIDs(of *Config) error {
	seen := make(map[ID]bool, len(c.Live)+len(c.Dead))
	last := uint64(0)
	for i := range c.Live {
		s := &c.Live[i]
		if s.ID == "" || seen[s.ID] || s.Number <= last || s.Number > c.Number {
			return damaged("live snapshot %q, published by %d after %d: expected each once, in order", s.ID, s.Number, last)
		}
		if s.Manifest.Size <= 0 || s.Manifest.Raw <= 0 || s.ID.Token() > c.Token || s.Entries < 0 || s.Bytes < 0 || s.Stored < 0 {
			return damaged("live snapshot %s: sizes or token out of range", s.ID)
		}
		if sealed := of.Format == FormatSealed; sealed != (s.Packs != Object{}) || s.Packs.Size < 0 || s.Packs.Raw != s.Packs.Size {
			return damaged("live snapshot %s: list of packs %+v", s.ID, s.Packs)
		}
		seen[s.ID], last = true, s.Number
	}
	for _, d := range c.Dead {
		if d.ID == "" || seen[d.ID] || d.At > c.Number {
			return damaged("dead snapshot %q since %d: expected each once", d.ID, d.At)
		}
		seen[d.ID] = true
	}
	return nil
}
