package mountcheck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/process"
	"github.com/interlock-run/interlock/mountcheck/probe"
)

// env is what all targets of one look or watch share.
type env struct {
	cfg     Config
	starter *starter
	nonce   string // makes the names of our probe files differ from those of another holder
}

// close ends the starter; what it could not end is logged.
func (v *env) close() {
	if err := v.starter.close(); err != nil {
		v.cfg.Log("%v", err)
	}
}

// prober owns the one helper of a mount. One goroutine uses it.
type prober struct {
	env    *env
	mount  string
	helper *helper
	stuck  string // what the killed helper was waiting in; empty while the helper is of use

	held     []held // helpers of others that the kernel holds in this mount
	searched bool   // for those
}

// ask sends a request. The finding is OK when the helper came to its end, whatever its answers say; else they are
// those from before it hung.
func (p *prober) ask(ctx context.Context, req probe.Request) ([]probe.Reply, Finding) {
	for try := 0; ; try++ {
		if f := p.ready(ctx); f.Kind != OK {
			return nil, f
		}
		answers, at, err := p.helper.call(ctx, req, p.env.cfg.Timeout)
		switch {
		case err == nil:
			return answers, finding(p.mount, OK, "")
		case errors.Is(err, errHung) && at != probe.StageSend:
			return answers, p.discard(at)
		}
		p.helper.kill()
		p.stuck = at.String()
		if ctx.Err() != nil {
			return nil, finding(p.mount, Unknown, "the look was ended before there was an answer")
		}
		// The helper died under us (signalled, out of memory) or never took the request (stopped), and so
		// has not met the mount: one more try with a new one.
		if try > 0 || !p.helper.wait(p.env.cfg.Timeout) {
			return nil, finding(p.mount, Unknown, fmt.Sprintf("%s of the probe helper: %v", at, err))
		}
	}
}

// one asks for a single step.
func (p *prober) one(ctx context.Context, path string, want probe.Ident, step probe.Step) (probe.Reply, Finding) {
	answers, f := p.ask(ctx, probe.Request{Path: path, Want: want, Steps: []probe.Step{step}})
	if len(answers) == 0 {
		return probe.Reply{}, f
	}
	return answers[0], f
}

// ready makes sure that there is a helper: never a second one before the first has been reaped.
func (p *prober) ready(ctx context.Context) Finding {
	if p.helper != nil && p.stuck == "" && p.helper.ended() {
		p.stuck = "nothing"
	}
	if p.helper != nil && p.stuck != "" {
		if !p.helper.ended() {
			return finding(p.mount, Hung, fmt.Sprintf("the killed probe helper (pid %d) still waits in %s", p.helper.proc.Pid, p.stuck))
		}
		p.helper.kill()
		p.helper, p.stuck = nil, ""
	}
	if p.helper != nil {
		return finding(p.mount, OK, "")
	}
	if h, found := p.earlier(); found {
		return finding(p.mount, Hung, fmt.Sprintf("a killed probe helper of an earlier look (pid %d) still waits in it", h.pid))
	}
	h, err := p.env.starter.start(ctx, p.mount, max(p.env.cfg.Timeout, startTime))
	if err != nil {
		return finding(p.mount, Unknown, fmt.Sprintf("cannot start a probe helper: %v", err))
	}
	p.helper = h
	return finding(p.mount, OK, "")
}

// startTime is what a new helper has at least until its first answer; a start is not the mount's affair.
const startTime = 2 * time.Second

// discard throws a hung helper away.
func (p *prober) discard(at probe.Stage) Finding {
	p.helper.kill()
	p.stuck = at.String()
	return finding(p.mount, Hung, fmt.Sprintf("%s: no answer within %s", at, p.env.cfg.Timeout))
}

// The patience with a helper that is told to end.
const (
	endWait  = 200 * time.Millisecond
	killWait = 500 * time.Millisecond
	slowEnds = 10 // times killWait, for one that is on its way out of a busy machine
)

// end lets the helper go; the error names one that the kernel holds.
func (p *prober) end() error {
	h := p.helper
	if h == nil || h.ended() {
		return nil
	}
	if p.stuck == "" {
		_ = h.sock.Close()
		if h.wait(endWait) {
			return nil
		}
	}
	h.kill()
	for range slowEnds {
		if h.wait(killWait) {
			return nil
		}
		if process.Asleep(h.proc.Pid) {
			break
		}
	}
	return fmt.Errorf("the probe helper of %s (pid %d) waits in %s and cannot be killed; it is left to the kernel", p.mount, h.proc.Pid, p.stage())
}

func (p *prober) stage() string {
	if p.stuck == "" {
		return "an unknown stage"
	}
	return p.stuck
}
