package load

import (
	"errors"
	"time"

	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

// What callers branch on, besides the errors of memcached and item.
var (
	ErrVersion  = errors.New("this version cannot be loaded")
	ErrRestarts = errors.New("the server restarts again and again")
	ErrInUse    = errors.New("the server is in use")
)

// An Order is in which order what was selected is stored.
type Order string

// Orders. HottestFirst is useful at every moment, and ends with a pass that protects the hottest;
// ColdestFirst is the best for the server's own order of eviction, and useful only once it is done: of a fresh
// server that nobody uses, because what clients store meanwhile would be evicted before what is colder.
const (
	HottestFirst Order = "hottest-first"
	ColdestFirst Order = "coldest-first"
)

// Options of a load.
type Options struct {
	Server  memcached.Server
	Sources []Source
	Order   Order        // empty: HottestFirst
	Limit   Limit        // what is loaded at most
	Rate    int          // items a second; 0: as fast as it goes
	Conns   int          // 0: 2
	All     bool         // select everything, whether it fits or not: only the first eviction stops it
	InUse   bool         // clients use the server already: stop at the first delete, which a later store would undo
	Fresh   bool         // the server was started for this load: what clients have done to it since then counts
	From    *Progress    // of an earlier load that did not end; nil: from the start
	Note    func(string) // of what an operator should know; may be nil; never called twice at once
}

// A Source is one dump, and what of it is loaded. Several are loaded as one, the hottest of all first. A key is
// taken from the one that has it first.
type Source struct {
	Cache *item.Cache
	Name  string                // for Progress, which counts for the same name alone; empty: the dump's ID
	Keys  func(key []byte) bool // nil: all; else only these, as of a ring; called by several goroutines
	Share float64               // with Keys: about which part of the items that is; 0: all, so that too little is selected
	Rank  int                   // all of a lower one comes before: the fresher of two dumps of one node
}

// A Limit stops a load. Zero values are none.
type Limit struct {
	Items int64
	Bytes int64 // that the items take in the server
	Time  time.Duration
}

const (
	defaultConns = 2
	maxRestarts  = 3
	patience     = 30 * time.Second // for a server that is gone
)

// Counts say what became of the selected items.
type Counts struct {
	Loaded      int64 `json:"loaded"`
	Exists      int64 `json:"exists"`        // a client has stored something fresher
	Expired     int64 `json:"expired"`       // on the way here
	NotOurs     int64 `json:"not_ours"`      // keys of other nodes
	TooLarge    int64 `json:"too_large"`     // for this server
	OutOfMemory int64 `json:"out_of_memory"` // SERVER_ERROR
	Refused     int64 `json:"refused"`       // any other error of the server
	Repeated    int64 `json:"repeated"`      // sent twice because no answer was heard, and there already
	Interrupted int64 `json:"interrupted"`   // connections that were lost and made again
	Protected   int64 `json:"protected"`     // marked as used, so that they are evicted last
}

// A Report says how a load went.
type Report struct {
	Counts
	Held     int64         `json:"held"`              // items in the dumps
	Selected int64         `json:"selected"`          // of them, because they fit
	Resumed  int64         `json:"resumed,omitempty"` // of them, by an earlier load
	Stopped  string        `json:"stopped,omitempty"`
	Restarts int           `json:"restarts,omitempty"`
	Storing  time.Duration `json:"storing"` // of Took: the rest is looking and protecting
	Took     time.Duration `json:"took"`
}

// Progress is how far a load is; it can be stored, and given to a later one of the same run of the server.
type Progress struct {
	Server memcached.State `json:"server"` // that was filled
	Parts  map[string]Mark `json:"parts"`  // by source/band/part
}

// A Mark is how far one part is.
type Mark struct {
	Offset int64 `json:"offset"`
	Items  int64 `json:"items"`
}
