package dump

import (
	"time"

	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Options of a dump.
type Options struct {
	Server  memcached.Server
	Dir     string        // empty; becomes the cache's content
	Scratch string        // folder for lists, about 100 bytes an item; local or in memory
	Locks   string        // folder with a lock file for each address, the same for all dumps of this host
	Listing Listing       // empty: auto
	Rate    int           // items a second; 0: 25,000; below 0: as fast as it goes
	Conns   int           // 0: 2
	Limit   Limit         // what is read at most; where it may be too little the hottest are read first
	Values  int           // longest value in bytes; 0: 32 MiB
	Drain   drain.Options // how the list's reader is run; its Mode, Folder, Follow and Stuck are set here
	Note    func(string)  `json:"-"` // of what an operator should know; may be nil; never called twice at once
}

// A Limit cuts a dump. Zero values are none.
type Limit struct {
	Items int64
	Bytes int64 // that the items take in the server
	Time  time.Duration
}

// DefaultRate is known to leave clients of a server on two cores nearly alone.
const DefaultRate = 25_000

const (
	bandCount    = 16
	defaultConns = 2
	listTries    = 5
	buffer       = 256 << 10 // of a connection, each way
)

func (o Options) filled() Options {
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Conns <= 0 {
		o.Conns = defaultConns
	}
	if o.Values <= 0 {
		o.Values = 32 << 20
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return o
}

// A Report says how a dump went.
type Report struct {
	Cache   *item.Cache   // as in cache.json
	Uptime  time.Duration // of the server, when the dump began
	Listing time.Duration
	Reading time.Duration
	Latency Latency
	Slowest int // lowest rate that it went down to, items a second; 0: the rate was not limited
}

// Latency is of a round trip on an idle connection, before and while items were read.
type Latency struct {
	Before Quantiles
	During Quantiles
}

// Quantiles of so many samples.
type Quantiles struct {
	Samples  int
	P50, P99 time.Duration
}
