// Package courier is the process role that works on the snapshot store for a run (claim, look, restore,
// backup), and brings its block device up and down.
//
// Promise: one request on stdin, lines of progress and then one answer on stdout; it lies in the kill
// domain, so a lost lease or mount ends it together with all that may touch the data, at any point, which
// leaves nothing half-published and nothing half-restored that could be started. What it starts gets an
// environment without the store's secrets. Non-promise: its deadline is a wish, since it hangs as long as
// the filesystem does; the agent bounds it and the guard ends it by SIGKILL. It decides nothing about
// leases: the token in each commit is what keeps a deposed one from publishing. Main is called by
// cmd/interlock, which alone knows the stores' drivers; the messages by internal/lifecycle in the agent;
// Look by cmd/interlock for a dry run.
package courier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/interlock-run/interlock/device"
	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/job"
)

// Version of the messages: both ends are one binary, so another one is a mistake.
const Version = 1

// MaxLine bounds a request and each line of an answer. A request must fit a pipe's buffer.
const MaxLine = 60 << 10

// Operations.
const (
	OpClaim   = "claim"   // commit the token, and nothing else
	OpRestore = "restore" // decide, tell the decision, carry it out
	OpBackup  = "backup"  // take a snapshot and publish it, then retention
	OpWarm    = "warm"    // fill a cache from its dumps
	OpDump    = "dump"    // dump a cache and publish that, then retention
	OpUp      = "up"      // attach, repair and mount the device
	OpDown    = "down"    // unmount and detach it
	OpCut     = "cut"     // the same for a holder that is none any more: nothing more is written
)

// A Request is what the agent asks for. It holds no secret: those are in the environment.
type Request struct {
	V       int            `json:"v"`
	Op      string         `json:"op"`
	Timeout time.Duration  `json:"timeout"` // for all of it, tries included
	Reach   time.Duration  `json:"reach"`   // for tries to reach the store
	Who     Who            `json:"who"`
	Store   config.Store   `json:"store"`
	Secrets []string       `json:"secrets,omitempty"` // names of variables that commands must not get
	Place   Place          `json:"place,omitzero"`
	Restore config.Restore `json:"restore,omitzero"`
	Backup  config.Backup  `json:"backup,omitzero"`
	Warm    config.Warm    `json:"warm,omitzero"`
	Device  *device.Spec   `json:"device,omitempty"`
	User    *User          `json:"user,omitempty"`    // of the commands of presets and backups; nil: ours
	OnStop  bool           `json:"on_stop,omitempty"` // backup: the payload is dead, a cold copy; else at low priority beside it
}

// Who asks: the holder, and what a snapshot says of its maker.
type Who struct {
	Token   fence.Token    `json:"token,string"`
	Scope   snapshot.Scope `json:"scope"`
	Holder  string         `json:"holder"`
	Node    string         `json:"node,omitempty"`
	Release string         `json:"release,omitempty"`
}

func (w Who) holder() snapshot.Holder { return snapshot.Holder{Token: w.Token, Scope: w.Scope} }

// A User is who a command runs as.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// A Place is what a run works on.
type Place struct {
	Data     string `json:"data"`
	StateDir string `json:"state_dir"`
	Mount    string `json:"mount,omitempty"`   // root of the mount that must hold both; empty: none
	Scratch  string `json:"scratch,omitempty"` // dump: a local folder for it until it is published
}

// A Line is one line of what a courier says: one of the five.
type Line struct {
	Note     *Note     `json:"note,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	Decision *Decision `json:"decision,omitempty"`
	Step     string    `json:"step,omitempty"` // of a device: what begins now
	Answer   *Answer   `json:"answer,omitempty"`
}

// A Note is for the log.
type Note struct {
	Level slog.Level `json:"level"`
	Text  string     `json:"text"`
	Args  []string   `json:"args,omitempty"` // name, value, name, value, ...
}

// A Progress is how far the present operation has come.
type Progress struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
	Stored  int64 `json:"stored"`          // given to the store, or fetched from it
	Total   int64 `json:"total,omitempty"` // bytes expected; 0: not known
	// Fraction of what is to be loaded into a cache that has been dealt with.
	Fraction float64 `json:"fraction,omitempty"`
}

// A Decision is what is restored, and why: the same line for log, status and dry run.
type Decision struct {
	Action   string      `json:"action"`
	Reason   string      `json:"reason"`
	Snapshot snapshot.ID `json:"snapshot,omitempty"`
}

// An Answer is the last line.
type Answer struct {
	Code     int               `json:"code"` // exit code of a run that ends by it; 0: done
	Error    string            `json:"error,omitempty"`
	Catalog  uint64            `json:"catalog,omitempty"`  // number of the newest one that it knows
	Snapshot snapshot.Snapshot `json:"snapshot,omitzero"`  // published, or restored
	Newest   snapshot.Snapshot `json:"newest,omitzero"`    // claim: the newest one there
	Bytes    int64             `json:"bytes,omitempty"`    // restore: written
	Dropped  int               `json:"dropped,omitempty"`  // backup: snapshots that retention removed
	Cache    *job.Loaded       `json:"cache,omitempty"`    // warm: what became of the dumps, also of a failure
	Device   *Device           `json:"device,omitempty"`   // up, down
	Warnings []string          `json:"warnings,omitempty"` // what went wrong beside the main thing
}

// A Failure is an answer that is none of success.
type Failure struct {
	Code int
	Text string
}

func (f *Failure) Error() string { return f.Text }

// Err is nil if the answer is a good one, else a *Failure.
func (a Answer) Err() error {
	if a.Code == 0 && a.Error == "" {
		return nil
	}
	return &Failure{Code: a.Code, Text: a.Error}
}

// EncodeRequest is what goes to a courier's stdin.
func EncodeRequest(r Request) ([]byte, error) {
	r.V = Version
	return encode(r)
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("courier's message: %w", err)
	}
	if len(data) >= MaxLine {
		return nil, fmt.Errorf("courier's message of %d bytes: expected at most %d: shorten commands and patterns", len(data), MaxLine-1)
	}
	return append(data, '\n'), nil
}

func decodeRequest(in io.Reader) (Request, error) {
	var r Request
	dec := json.NewDecoder(io.LimitReader(in, MaxLine))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("request to courier: %w: expected one JSON object of at most %d bytes", err, MaxLine)
	}
	switch {
	case r.V != Version:
		return Request{}, fmt.Errorf("request to courier of version %d: expected %d: the program was replaced while it ran", r.V, Version)
	case r.Timeout <= 0 || r.Reach <= 0:
		return Request{}, errors.New("request to courier without a timeout")
	case r.Who.Token == 0 || r.Who.Scope == (snapshot.Scope{}):
		return Request{}, errors.New("request to courier without token and lock: expected a holder's")
	}
	return r, nil
}

// DecodeLine reads one line of a courier.
func DecodeLine(data []byte) (Line, error) {
	var l Line
	if err := json.Unmarshal(data, &l); err != nil {
		return Line{}, fmt.Errorf("courier said %d bytes that are no line of its own: %w", len(data), err)
	}
	if l.Note == nil && l.Progress == nil && l.Decision == nil && l.Step == "" && l.Answer == nil {
		return Line{}, errors.New("courier said an empty line")
	}
	return l, nil
}
