package memcached

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Version is the server's, as numbers.
type Version struct{ Major, Minor, Patch int }

// String is the version in its usual form.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Before tells whether v is older.
func (v Version) Before(major, minor, patch int) bool {
	a, b := [3]int{v.Major, v.Minor, v.Patch}, [3]int{major, minor, patch}
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// parseVersion reads "VERSION 1.6.18", also with a suffix as of -rc1 or _11_g1234.
func parseVersion(line string) (v Version, err error) {
	text, ok := strings.CutPrefix(line, "VERSION ")
	parts := strings.SplitN(text, ".", 3)
	if !ok || len(parts) != 3 {
		return v, fmt.Errorf("%w: %.100q, expected VERSION and three numbers", ErrProtocol, line)
	}
	if i := strings.IndexFunc(parts[2], func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		parts[2] = parts[2][:i]
	}
	for i, to := range []*int{&v.Major, &v.Minor, &v.Patch} {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return v, fmt.Errorf("%w: %.100q, expected VERSION and three numbers", ErrProtocol, line)
		}
		*to = int(n)
	}
	return v, nil
}

// maxStats bounds the lines of an answer to stats.
const maxStats = 20_000

// Stats asks for a group of statistics; the empty group is the general one.
func (c *Conn) Stats(group string) (Stats, error) {
	all := Stats{}
	err := c.stats(group, func(name, value []byte) { all[string(name)] = string(value) })
	return all, c.fail(err)
}

// stats asks for a group and gives each line to take.
func (c *Conn) stats(group string, take func(name, value []byte)) error {
	command := strings.TrimSpace("stats "+group) + "\r\n"
	if _, err := c.w.WriteString(command); err != nil {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	for range maxStats {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		text, isStat := bytes.CutPrefix(line, []byte("STAT "))
		if !isStat {
			if string(line) == "END" {
				return nil
			}
			if r := refusal(string(line)); r != nil {
				return r
			}
		}
		name, value, _ := bytes.Cut(text, []byte{' '})
		take(name, value)
	}
	return fmt.Errorf("%w: over %d lines of stats", ErrProtocol, maxStats)
}

// Stats are names and values as the server gives them.
type Stats map[string]string

// Number is a statistic that must be there and be a number.
func (s Stats) Number(name string) (int64, error) {
	n, err := strconv.ParseInt(s[name], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: stats give %s as %.40q, expected a number", ErrProtocol, name, s[name])
	}
	return n, nil
}

// A State is what a server says of itself at one moment.
type State struct {
	PID       int64
	Time      int64 // its clock, seconds since 1970
	Uptime    int64
	Accepted  int64 // connections since it began
	Flushes   int64 // flush_all since it began
	Items     int64
	Bytes     int64
	Limit     int64 // of bytes
	Evictions int64
	Stores    int64 // commands that stored, of all clients, since it began
	Deletes   int64 // commands of all clients that delete one item, or all
	Crawling  bool  // a crawler command, or one of its own, runs
}

// Start is when the run of the server began, by its own clock. It is the same at every moment of a run.
func (s State) Start() int64 { return s.Time - s.Uptime }

// Continues tells whether s is of the same run of the server as an earlier state. The pid alone does not tell: in a
// container it is always the same.
func (s State) Continues(before State) bool {
	return s.PID == before.PID && s.Start() == before.Start() && s.Accepted >= before.Accepted
}

// State asks for the general statistics.
func (c *Conn) State() (State, error) {
	var s State
	var crawling, hits, misses int64
	wanted := [...]struct {
		name string
		to   *int64
	}{
		{"pid", &s.PID}, {"time", &s.Time}, {"uptime", &s.Uptime}, {"total_connections", &s.Accepted}, {"curr_items", &s.Items}, {"bytes", &s.Bytes}, {"limit_maxbytes", &s.Limit},
		{"evictions", &s.Evictions}, {"cmd_set", &s.Stores}, {"lru_crawler_running", &crawling}, {"delete_hits", &hits},
		{"delete_misses", &misses}, {"cmd_flush", &s.Flushes},
	}
	var found [len(wanted)]bool
	err := c.stats("", func(name, value []byte) {
		for n := range wanted {
			if string(name) == wanted[n].name {
				if v, ok := number(value); ok && v <= math.MaxInt64 {
					*wanted[n].to, found[n] = int64(v), true
				}
			}
		}
	})
	if err != nil {
		return State{}, c.fail(err)
	}
	if n := slices.Index(found[:], false); n >= 0 {
		return State{}, c.fail(fmt.Errorf("%w: stats give no number as %s", ErrProtocol, wanted[n].name))
	}
	s.Crawling, s.Deletes = crawling != 0, hits+misses+s.Flushes
	return s, nil
}

// Settings are those of a server that warming must know.
type Settings struct {
	MaxBytes     int64
	ItemSizeMax  int64
	SlabChunkMax int64
	ChunkSize    int64
	GrowthFactor float64
	Evicts       bool   // false: -M
	CAS          bool   // false: -C
	Dumping      bool   // false: -X
	Crawler      bool   // false: -o no_lru_crawler
	MemoryFile   string // -e; empty: none
}

// Settings asks for them.
func (c *Conn) Settings() (Settings, error) {
	all, err := c.Stats("settings")
	if err != nil {
		return Settings{}, err
	}
	s := Settings{Evicts: all["evictions"] != "off", CAS: all["cas_enabled"] != "no", Dumping: all["dump_enabled"] != "no", Crawler: all["lru_crawler"] != "no"}
	if s.MemoryFile = all["memory_file"]; s.MemoryFile == "(null)" {
		s.MemoryFile = ""
	}
	for name, to := range map[string]*int64{"maxbytes": &s.MaxBytes, "item_size_max": &s.ItemSizeMax,
		"slab_chunk_max": &s.SlabChunkMax, "chunk_size": &s.ChunkSize} {
		if *to, err = all.Number(name); err != nil {
			return s, c.fail(err)
		}
	}
	s.GrowthFactor, err = strconv.ParseFloat(all["growth_factor"], 64)
	if err != nil || s.GrowthFactor <= 1 || s.GrowthFactor > 100 {
		return s, c.fail(fmt.Errorf("%w: growth factor %.40q", ErrProtocol, all["growth_factor"]))
	}
	return s, nil
}
