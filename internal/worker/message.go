// Package worker is the process role that touches the data for the agent: claim, state of restore, drain.
//
// Promise: one request on stdin, one answer on stdout, exit status 0 if an answer was written; TERM, INT
// and HUP are ignored, so that a signal to the whole tree does not cut a claim in half. Non-promise: it
// has no timeout, and hangs as long as the filesystem does: the guard ends it by SIGKILL, at any point,
// which leaves nothing torn. It holds no secret and asks no network. Main is called by internal/role in
// the kill domain; EncodeRequest and DecodeResponse by internal/lifecycle in the agent, which itself
// never touches a path below a mount.
package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/restore"
)

// MaxRequest bounds a request and a response.
const MaxRequest = 1 << 20

// Operations.
const (
	OpClaim     = "claim"     // write Claim into StateDir; with Data: then inspect too, one process less at a start
	OpReadClaim = "readclaim" // read the claim in StateDir
	OpInspect   = "inspect"   // look at Data and decide; changes nothing
	OpBegin     = "begin"     // carry out Want as far as the start of the script
	OpCommit    = "commit"    // sync Data, and Paths, and record the restore as clean
	OpDrain     = "drain"     // sync of each of Paths, and an answer of its server
)

// Kinds of failure.
const (
	KindDeposed   = "deposed"    // a later holder was here
	KindOtherLock = "other-lock" // the claim is of another lock
	KindCorrupt   = "corrupt"    // claim or state file there, but not to be understood
	KindRefused   = "refused"    // restore refused
	KindMissing   = "missing"    // the mount is not there: nothing was made in the bare directory
	KindIO        = "io"         // the filesystem failed: full, read-only, no rights, stale, ...
	KindRequest   = "request"    // the request makes no sense
	KindInternal  = "internal"   // a panic
)

// A Request is what the agent asks for.
type Request struct {
	Op       string            `json:"op"`
	StateDir string            `json:"state_dir,omitempty"`
	Mount    string            `json:"mount,omitempty"` // root of the mount that must hold StateDir and Data; empty: none
	Claim    *fence.Claim      `json:"claim,omitempty"`
	Data     string            `json:"data,omitempty"`
	Token    fence.Token       `json:"token,omitempty"` // ours; 0 in a dry run
	Holder   string            `json:"holder,omitempty"`
	When     string            `json:"when,omitempty"` // restore.when
	Script   bool              `json:"script,omitempty"`
	Want     *restore.Decision `json:"want,omitempty"`
	Paths    []string          `json:"paths,omitempty"`
}

// A Response is the one answer.
type Response struct {
	OK       bool              `json:"ok"`
	Kind     string            `json:"kind,omitempty"`
	Error    string            `json:"error,omitempty"`
	Claim    *fence.Claim      `json:"claim,omitempty"` // readclaim; nil with OK: surely none there
	Look     *restore.Look     `json:"look,omitempty"`  // inspect, commit
	Decision *restore.Decision `json:"decision,omitempty"`
	Synced   []Synced          `json:"synced,omitempty"` // one for each of Paths; OK only if all were
}

// Synced is the outcome of a drain of one path; empty Error: all that was written there is stored.
type Synced struct {
	Path  string `json:"path"`
	Error string `json:"error,omitempty"`
}

// A Failure is what went wrong, for callers that branch on Kind.
type Failure struct{ Kind, Text string }

func (f *Failure) Error() string { return f.Text }

// Err is nil if the response is a good one, else a *Failure.
func (r Response) Err() error {
	if r.OK {
		return nil
	}
	return &Failure{Kind: r.Kind, Text: r.Error}
}

// EncodeRequest is what goes to the worker's stdin.
func EncodeRequest(r Request) ([]byte, error) { return encode(r) }

// DecodeResponse reads what came from the worker's stdout.
func DecodeResponse(data []byte) (Response, error) {
	var r Response
	if err := json.Unmarshal(data, &r); err != nil {
		return Response{}, fmt.Errorf("worker answered %d bytes that are no response: %w", len(data), err)
	}
	if !r.OK && (r.Kind == "" || r.Error == "") {
		return Response{}, errors.New("worker answered a failure without kind or error")
	}
	return r, nil
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("worker message: %w", err)
	}
	if len(data) >= MaxRequest {
		return nil, fmt.Errorf("worker message of %d bytes: expected at most %d", len(data), MaxRequest-1)
	}
	return append(data, '\n'), nil
}

// decodeRequest reads one request; it need not see the end of the input.
func decodeRequest(in io.Reader) (Request, error) {
	var r Request
	dec := json.NewDecoder(io.LimitReader(in, MaxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("request to worker: %w: expected one JSON object of at most %d bytes", err, MaxRequest)
	}
	return r, nil
}
