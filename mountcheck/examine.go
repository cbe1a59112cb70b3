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
	data   string      // directory below the mount whose free space counts, too
	follow *probe.Step // a file that is read, too
	write  *probe.Step // nil: nothing is written

	got   probe.Ident  // what the helper saw
	moved bool         // the helper saw another mount than the table
	named Finding      // about the volume id
	read  *probe.Reply // of follow
}

// steps are statfs, UUID, sentinel, the file that is followed, write, in this order: the helper does them at one
// request, each after the one before was plainly well. A write that hangs keeps nobody from what is in the file.
func (x *exam) steps() []probe.Step {
	all := []probe.Step{{Op: probe.OpStatfs, Rel: x.data, Option: !x.want.ReadOnly()}}
	if x.want.UUID != "" {
		all = append(all, probe.Step{Op: probe.OpUUID, Text: plainUUID(x.want.UUID), Source: x.source})
	}
	all = append(all, probe.Step{Op: probe.OpSentinel, Text: x.want.Volume})
	for _, s := range []*probe.Step{x.follow, x.write} {
		if s != nil {
			all = append(all, *s)
		}
	}
	return all
}

// examine judges the answers in their order, and stops at the first bad one. What ends no run (a full filesystem)
// does not hide what is worse: the steps that are left are asked for, then.
func (p *prober) examine(ctx context.Context, x *exam) Finding {
	worst := finding(x.want.Path, OK, "")
	for steps := x.steps(); len(steps) > 0; {
		answers, end := p.ask(ctx, probe.Request{Path: x.want.Path, Want: x.ident, Steps: steps})
		for i, r := range answers[:min(len(answers), len(steps))] {
			f := x.want.rule(x.judge(steps[i], r))
			worst = worse(worst, f)
			if x.moved || f.Fatal() || f.Kind == Unknown {
				return worst
			}
		}
		if end.Kind != OK {
			return worse(worst, x.want.rule(end))
		}
		steps = steps[min(len(answers), len(steps)):]
	}
	return worst
}

// judge says what the answer to a step means.
func (x *exam) judge(s probe.Step, r probe.Reply) Finding {
	x.got = r.Got
	if f, ok := x.opened(r); !ok {
		return f
	}
	switch s.Op {
	case probe.OpStatfs:
		return x.space(r)
	case probe.OpUUID:
		return x.uuid(r)
	case probe.OpSentinel:
		x.named = x.sentinel(r)
		return x.named
	case probe.OpRead:
		x.read = &r // a finding only for who asked
	case probe.OpWrite:
		return x.written(r)
	}
	return finding(x.want.Path, OK, "")
}

// opened sorts the answers that all steps share: ok is false when the finding is the end of it.
func (x *exam) opened(r probe.Reply) (f Finding, ok bool) {
	if r.Stage == probe.StageOpen && r.Status == probe.StatusOther {
		x.moved = true
		return finding(x.want.Path, Replaced, fmt.Sprintf("what opens at %s is not the mount that the mount table shows", x.want.Path)), false
	}
	if r.Stage == probe.StageOpen && r.Status == probe.StatusErrno {
		return openFailed(x.want.Path, unix.Errno(r.Errno)), false
	}
	return finding(x.want.Path, OK, ""), true
}

// request takes one step and sorts the answers that all share: ok is false when the finding is the end of it.
func (p *prober) request(ctx context.Context, x *exam, s probe.Step) (r probe.Reply, f Finding, ok bool) {
	r, f = p.one(ctx, x.want.Path, x.ident, s)
	if f.Kind == OK {
		x.got = r.Got
		f, ok = x.opened(r)
	}
	return r, f, ok
}

// openFailed is about the mountpoint itself: a path that is not there has no mount.
func openFailed(path string, e unix.Errno) Finding {
	k := kindOf(e)
	if k == Wrong {
		k = Absent
	}
	return finding(path, k, "open the mountpoint: "+errnoText(e))
}

func (x *exam) space(r probe.Reply) Finding {
	if r.Status != probe.StatusOK {
		return finding(x.want.Path, answerKind(r), answerText(r))
	}
	s, err := probe.DecodeSpace(r.Data)
	if err != nil {
		return finding(x.want.Path, Unknown, err.Error())
	}
	if s.ReadOnly && !x.want.ReadOnly() {
		return finding(x.want.Path, ReadOnly, "statfs: the filesystem is read-only, expected rw")
	}
	if text := x.want.lack(s); text != "" {
		return finding(x.want.Path, Full, "statfs: "+text)
	}
	return finding(x.want.Path, OK, "")
}

// sentinel is about the volume id. Without an expected one the question only proves that names are answered.
func (x *exam) sentinel(r probe.Reply) Finding {
	path, want := x.want.Path, x.want.Volume
	f := finding(path, OK, "")
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

func (x *exam) written(r probe.Reply) Finding {
	if r.Status == probe.StatusOK {
		return finding(x.want.Path, OK, "")
	}
	dir := filepath.Join(x.want.Path, x.write.Rel)
	f := finding(x.want.Path, answerKind(r), fmt.Sprintf("write probe in %s: %s", dir, answerText(r)))
	if r.Stage == probe.StageDir && unix.Errno(r.Errno) == unix.ENOENT {
		// The mount may be right: what was removed is ours, and with it the claim.
		f.Do = "the directory was removed while in use, and the claim in it: find out by whom; the next start makes it anew"
	}
	return f
}
