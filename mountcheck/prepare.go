package mountcheck

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// plan is what is to be watched, and what was found wrong while finding that out.
type plan struct {
	env     *env
	targets []*target
	fixed   []Finding
}

// prepare turns the configuration into targets. It blocks at most for one stage's timeout a path.
func (v *env) prepare(ctx context.Context) (*plan, error) {
	tb, err := readTable()
	if err != nil {
		return nil, err
	}
	p := &plan{env: v}
	for _, e := range v.cfg.Expect {
		if e, err = e.Check(); err != nil {
			return nil, fmt.Errorf("mount %q: %w", e.Path, err)
		}
		p.expect(ctx, tb, e)
	}
	if v.cfg.Data != "" {
		p.data(ctx, tb)
	}
	if v.cfg.StateDir != "" {
		p.stateDir(tb)
	}
	return p, nil
}

// expect adds a mount that was named. A path through a mount that must not be touched is followed by the
// helper.
func (p *plan) expect(ctx context.Context, tb *table, e Expect) {
	e.named = true
	real, complete, err := tb.resolve(e.Path)
	if err != nil {
		p.fixed = append(p.fixed, finding(e.Path, errorKind(err), err.Error()))
		return
	}
	if complete || tb.holder(real).Point == real {
		e.Path = real
		p.add(e)
		return
	}
	t := newTarget(p.env, e)
	found, f := t.prober.resolve(ctx, real)
	switch {
	case f.Kind == OK:
		t.want.Path, t.prober.mount = found.Real, found.Real
	case f.Kind == NoData:
		t.want.Path = real // not there: the table will say so
	default:
		p.fixed = append(p.fixed, finding(e.Path, f.Kind, f.Detail))
	}
	p.targets = append(p.targets, t)
}

func errorKind(err error) Kind {
	var e unix.Errno
	if errors.As(err, &e) {
		return kindOf(e)
	}
	return Wrong
}

// add returns the target of a mountpoint, a new one if there is none.
func (p *plan) add(e Expect) *target {
	if t := p.at(e.Path); t != nil {
		return t
	}
	t := newTarget(p.env, e)
	p.targets = append(p.targets, t)
	return t
}

func (p *plan) at(point string) *target {
	for _, t := range p.targets {
		if t.want.Path == point {
			return t
		}
	}
	return nil
}

// data finds the mount that really holds the data directory: the helper follows the path to its end,
// where the text of the table alone would miss a symbolic link below a mount.
func (p *plan) data(ctx context.Context, tb *table) {
	path := filepath.Clean(p.env.cfg.Data)
	real, _, err := tb.resolve(path)
	if err != nil {
		p.fixed = append(p.fixed, finding(path, errorKind(err), err.Error()))
		return
	}
	asked := newTarget(p.env, Expect{Path: tb.holder(real).Point, FailAfter: p.env.cfg.FailAfter})
	found, f := asked.prober.resolve(ctx, path)
	if f.Kind == OK && !found.Dir {
		f = finding(path, NoData, fmt.Sprintf("%s is not a directory", path))
	}
	if f.Kind != OK {
		f.Path = path
		p.fixed = append(p.fixed, f)
	} else if now, err := readTable(); err == nil {
		asked.want.Path = now.holder(found.Real).Point
		asked.data = relative(asked.want.Path, found.Real)
	}
	p.adopt(asked)
	p.unmoved(path, asked.want.Path)
}

// adopt adds a target that nobody named, unless its mount has one already.
func (p *plan) adopt(t *target) {
	t.prober.mount = t.want.Path
	t.state.life.Path = t.want.Path
	named := p.at(t.want.Path)
	if named == nil {
		p.targets = append(p.targets, t)
		return
	}
	named.data = t.data
	if err := t.prober.end(); err != nil {
		p.env.cfg.Log("%v", err)
	}
}

// unmoved compares the mount of the data with the one that an earlier look saw.
func (p *plan) unmoved(data, point string) {
	seen := p.env.cfg.Seen
	if seen.Point != "" && seen.Point != point {
		p.fixed = append(p.fixed, finding(seen.Point, Absent, fmt.Sprintf("the data directory %s was on %s, it is now on the mount at %s", data, seen, point)))
	}
}

func (p *plan) stateDir(tb *table) {
	path := filepath.Clean(p.env.cfg.StateDir)
	real, _, err := tb.resolve(path)
	if err != nil {
		p.fixed = append(p.fixed, finding(path, errorKind(err), err.Error()))
		return
	}
	p.add(Expect{Path: tb.holder(real).Point, FailAfter: p.env.cfg.FailAfter})
}

// resolve lets the helper follow a path; NoData means that it is not there.
func (p *prober) resolve(ctx context.Context, path string) (probe.Found, Finding) {
	r, f := p.one(ctx, path, probe.Ident{}, probe.Step{Op: probe.OpResolve})
	if f.Kind != OK {
		return probe.Found{}, f
	}
	if r.Status == probe.StatusErrno {
		k, e := answerKind(r), unix.Errno(r.Errno)
		if e == unix.ENOENT || e == unix.ENOTDIR {
			return probe.Found{}, finding(path, NoData, fmt.Sprintf("data directory %s does not exist", path))
		}
		return probe.Found{}, finding(path, k, fmt.Sprintf("%s: %s", path, answerText(r)))
	}
	found, err := probe.DecodeFound(r.Data)
	if err != nil {
		return found, finding(path, Unknown, err.Error())
	}
	return found, f
}

// end lets all helpers go.
func (p *plan) end() (errs []error) {
	for _, t := range p.targets {
		if err := t.prober.end(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
