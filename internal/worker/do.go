package worker

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/restore"
)

var errRequest = errors.New("request to worker makes no sense")

// Do carries out a request in this process.
func Do(r Request) Response {
	var answer Response
	err := r.check()
	if err == nil {
		err = checkMount(r)
	}
	if err == nil {
		answer, err = r.carryOut()
	}
	if err != nil {
		answer.Kind, answer.Error = kindOf(err), oneLine(err)
		return answer
	}
	answer.OK = true
	return answer
}

// check refuses a request that lacks what its operation needs.
func (r Request) check() error {
	paths := append([]string(nil), r.Paths...)
	switch r.Op {
	case OpClaim, OpReadClaim:
		paths = append(paths, r.StateDir)
	case OpInspect, OpBegin, OpCommit:
		paths = append(paths, r.StateDir, r.Data)
	}
	if r.Mount != "" {
		paths = append(paths, r.Mount)
	}
	for _, p := range paths {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p {
			return fmt.Errorf("%w: %s: path %q: expected an absolute, clean one", errRequest, r.Op, p)
		}
	}
	switch {
	case r.Op == OpClaim && r.Claim == nil:
		return fmt.Errorf("%w: %s: expected a claim", errRequest, r.Op)
	case r.Op == OpBegin && r.Want == nil:
		return fmt.Errorf("%w: %s: expected what was decided", errRequest, r.Op)
	case r.Op == OpClaim:
		c := *r.Claim
		c.V = fence.ClaimVersion
		if err := c.Check(); err != nil {
			return fmt.Errorf("%w: %s: %w", errRequest, r.Op, err)
		}
	}
	return nil
}

func (r Request) carryOut() (Response, error) {
	switch r.Op {
	case OpClaim:
		if err := fence.WriteClaim(r.StateDir, *r.Claim); err != nil || r.Data == "" {
			return Response{}, err
		}
		return r.inspect(), nil
	case OpReadClaim:
		c, found, err := fence.ReadClaim(r.StateDir)
		if err != nil || !found {
			return Response{}, err
		}
		return Response{Claim: &c}, nil
	case OpInspect:
		return r.inspect(), nil
	case OpBegin:
		return Response{}, restore.Begin(r.target(), *r.Want)
	case OpCommit:
		return r.commit()
	case OpDrain:
		return syncAll(r.Paths)
	}
	return Response{}, fmt.Errorf("%w: operation %q: expected claim, readclaim, inspect, begin, commit or drain", errRequest, r.Op)
}

// commit syncs the mounts that the agent named too, before the record says clean.
func (r Request) commit() (Response, error) {
	if len(r.Paths) > 0 {
		if answer, err := syncAll(r.Paths); err != nil {
			return answer, err
		}
	}
	look, err := restore.Commit(r.target())
	return Response{Look: &look}, err
}

func (r Request) inspect() Response {
	look := restore.Inspect(r.Data, r.StateDir, r.Token)
	decision := restore.Decide(look, r.When, r.Script)
	return Response{Look: &look, Decision: &decision}
}

func (r Request) target() restore.Target {
	return restore.Target{Data: r.Data, StateDir: r.StateDir, Token: r.Token, Holder: r.Holder, When: r.When}
}

// oneLine is the text of an error, joined ones and names with a newline in them included.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// kindOf names a failure for the agent; what is none of the known ones is the filesystem's.
func kindOf(err error) string {
	for _, k := range []struct {
		is   error
		kind string
	}{
		{fence.ErrDeposed, KindDeposed},
		{fence.ErrOtherLock, KindOtherLock},
		{fence.ErrClaimCorrupt, KindCorrupt},
		{restore.ErrState, KindCorrupt},
		{restore.ErrRefused, KindRefused},
		{durable.ErrBusy, KindRefused},
		{errMissing, KindMissing},
		{errRequest, KindRequest},
	} {
		if errors.Is(err, k.is) {
			return k.kind
		}
	}
	return KindIO
}
