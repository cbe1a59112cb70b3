package mountcheck

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// exam is one round of questions to a mount that the table has found right.
type exam struct {
	want   Expect
	ident  probe.Ident
	source string
	fstype string
	data   string // directory below the mount whose free space counts, too
	dir    string // directory below the mount for the write probe; writes tells whether there is one
	writes bool
	sweep  bool
	number uint32

	named *probe.Reply // the answer about the volume id, if it came with that about the space
	got   probe.Ident  // what the helper saw
	moved bool         // the helper saw another mount than the table
}

// examine asks statfs, UUID, sentinel, write, in this order, and stops at the first bad answer. What ends no run
// (a full filesystem) does not hide what is worse.
func (p *prober) examine(ctx context.Context, x *exam) Finding {
	worst := finding(x.want.Path, OK, "")
	for _, ask := range []func(context.Context, *exam) Finding{p.statfs, p.uuid, p.sentinel, p.write} {
		f := x.want.rule(ask(ctx, x))
		worst = worse(worst, f)
		if x.moved || f.Fatal() || p.stuck != "" || f.Kind == Unknown {
			break
		}
	}
	return worst
}

// request asks one question and sorts the answers that all questions share: ok is false when the finding
// is the end of it.
func (p *prober) request(ctx context.Context, x *exam, req probe.Request) (r probe.Reply, f Finding, ok bool) {
	req.Path, req.Want = x.want.Path, x.ident
	r, f = p.ask(ctx, req)
	if f.Kind != OK {
		return r, f, false
	}
	x.got = r.Got
	if r.Stage == probe.StageOpen && r.Status == probe.StatusOther {
		x.moved = true
		return r, finding(x.want.Path, Replaced, fmt.Sprintf("what opens at %s is not the mount that the mount table shows", x.want.Path)), false
	}
	if r.Stage == probe.StageOpen && r.Status == probe.StatusErrno {
		return r, openFailed(x.want.Path, unix.Errno(r.Errno)), false
	}
	return r, f, true
}

// openFailed is about the mountpoint itself: a path that is not there has no mount.
func openFailed(path string, e unix.Errno) Finding {
	k := kindOf(e)
	if k == Wrong {
		k = Absent
	}
	return finding(path, k, "open the mountpoint: "+errnoText(e))
}

func (p *prober) statfs(ctx context.Context, x *exam) Finding {
	r, f, ok := p.request(ctx, x, probe.Request{Op: probe.OpLook, Rel: x.data})
	if !ok {
		return f
	}
	if r.Status != probe.StatusOK && len(r.Data) < probe.SpaceSize {
		return finding(x.want.Path, answerKind(r), answerText(r))
	}
	s, err := probe.DecodeSpace(r.Data)
	if err != nil {
		return finding(x.want.Path, Unknown, err.Error())
	}
	r.Data = append([]byte(nil), r.Data[probe.SpaceSize:]...) // the next request has the same buffer
	x.named = &r
	if s.ReadOnly && !x.want.ReadOnly() {
		return finding(x.want.Path, ReadOnly, "statfs: the filesystem is read-only, expected rw")
	}
	if text := x.want.lack(s); text != "" {
		return finding(x.want.Path, Full, "statfs: "+text)
	}
	return f
}

// sentinel reads the volume id. Without an expected one the question only proves that names are answered.
func (p *prober) sentinel(ctx context.Context, x *exam) Finding {
	r, f, ok := probe.Reply{}, finding(x.want.Path, OK, ""), true
	if x.named != nil {
		r = *x.named
	} else if r, f, ok = p.request(ctx, x, probe.Request{Op: probe.OpSentinel}); !ok {
		return f
	}
	path, want := x.want.Path, x.want.Volume
	missing := r.Status == probe.StatusErrno && unix.Errno(r.Errno) == unix.ENOENT
	switch id := strings.TrimSpace(string(r.Data)); {
	case missing && want == "":
		return f
	case missing:
		return finding(path, Wrong, fmt.Sprintf("there is no volume id at %s/%s, expected %s", path, probe.Sentinel, want))
	case r.Status == probe.StatusErrno:
		return finding(path, answerKind(r), answerText(r))
	case want == "":
		return f
	case r.Status != probe.StatusOK:
		return finding(path, Wrong, answerText(r))
	case id != want:
		return finding(path, Wrong, fmt.Sprintf("the volume id at %s is %.140q, expected %q", path, id, want))
	}
	return f
}

func (p *prober) write(ctx context.Context, x *exam) Finding {
	if !x.writes {
		return finding(x.want.Path, OK, "")
	}
	r, f, ok := p.request(ctx, x, probe.Request{Op: probe.OpWrite, Rel: x.dir, Option: x.sweep, Limit: x.number,
		Text: probe.Prefix + p.env.nonce})
	if !ok {
		return f
	}
	if r.Status == probe.StatusOK {
		return f
	}
	dir := filepath.Join(x.want.Path, x.dir)
	f = finding(x.want.Path, answerKind(r), fmt.Sprintf("write probe in %s: %s", dir, answerText(r)))
	if r.Stage == probe.StageDir && unix.Errno(r.Errno) == unix.ENOENT {
		// The mount may be right: what was removed is ours, and with it the claim.
		f.Do = "the directory was removed while in use, and the claim in it: find out by whom; the next start makes it anew"
	}
	return f
}
