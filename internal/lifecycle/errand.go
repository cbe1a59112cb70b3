package lifecycle

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/supervise"
)

// StorePlan is the snapshot store of a run.
type StorePlan struct {
	Errand  courier.Request // what all requests share: where, who, what; no store: its URL is empty
	Secrets []string        // NAME=VALUE that a courier is given and nobody else in the kill domain
	Loader  *courier.User   // who runs what loads a dump; nil: ourselves
	Restore bool            // restore.from: store
	OnStop  bool            // backup.on_stop
	Scratch string          // local folder for a dump of a cache
	// Next is when a backup, or a dump of a cache, is due after one that began then; nil: none is scheduled.
	Next func(time.Time) time.Time
}

// backup is the operation of the schedule, and its bound: a store holds dumps of a cache, or snapshots of data.
func (p StorePlan) backup() (op string, limit time.Duration) {
	if w := p.Errand.Warm; w.Schedule != "" {
		return courier.OpDump, w.DumpTime()
	}
	return courier.OpBackup, p.Errand.Backup.Timeout
}

func (p StorePlan) there() bool { return p.Errand.Store.URL != "" }

// ahead is how much before it is killed a courier gives up by itself, to say why.
func ahead(limit time.Duration) time.Duration { return min(3*time.Second, limit/10) }

// An errand is one courier under way.
type errand struct {
	id   uint32
	wait func(context.Context) (courier.Answer, error)
}

// send starts a courier in the kill domain. hear is told of its lines as they come, beside the loop; it may
// be nil. Called by the loop alone.
func (r *Runner) send(op string, limit time.Duration, hear func(courier.Line)) errand {
	q := r.plan.Store.Errand
	q.Op, q.Timeout, q.Who.Token = op, limit-ahead(limit), r.hold.tenure.Token()
	q.Reach = min(q.Timeout, r.plan.Budgets.Claim)
	q.Place = courier.Place{Data: r.plan.Data, StateDir: r.plan.State, Mount: r.stateMount(), Scratch: r.plan.Store.Scratch}
	q.OnStop = r.phase == Saving
	if op == courier.OpRestore {
		q.User = r.plan.Store.Loader
	}
	return r.dispatch(q, r.plan.Store.Secrets, limit, hear)
}

// dispatch starts the courier that carries out a request, with these variables beside the usual ones.
func (r *Runner) dispatch(q courier.Request, secrets []string, limit time.Duration, hear func(courier.Line)) errand {
	in, out, err := errandPipes(q)
	if err != nil {
		return errand{wait: func(context.Context) (courier.Answer, error) { return courier.Answer{}, err }}
	}
	id, end := r.spawn(supervise.Spec{Worker: true, Courier: true, Env: slices.Concat(r.env(), secrets), Stdin: in, Stdout: out.w})
	closeAll(in, out.w) // the guard has its own
	return errand{id, func(ctx context.Context) (courier.Answer, error) {
		return r.follow(ctx, id, end, out.r, limit, hear)
	}}
}

// follow reads what a courier says until its answer or its end.
func (r *Runner) follow(ctx context.Context, id uint32, end chan procEnd, out *os.File, limit time.Duration, hear func(courier.Line)) (courier.Answer, error) {
	defer closeAll(out)
	said := make(chan saying, 1)
	go func() {
		s := listen(out, func(l courier.Line) { r.overhear(l, hear) })
		if s.answer != nil {
			end <- procEnd{} // the answer is its last act: nothing need wait until its end was reaped
		}
		said <- s
	}()
	err := r.await(ctx, id, end, limit)
	if ctx.Err() != nil || errors.Is(err, errUndead) {
		closeAll(out) // unblocks the reader: the courier may be stuck with the pipe open
	} else {
		hurry(out)
	}
	s := <-said
	if s.answer != nil { // be it that nobody waits for it any more
		return *s.answer, s.answer.Err()
	}
	return courier.Answer{}, cmp.Or(ctx.Err(), err, s.err, errors.New("the courier ended without an answer"))
}

// overhear logs what is for the log, and passes on the rest.
func (r *Runner) overhear(l courier.Line, hear func(courier.Line)) {
	if n := l.Note; n != nil {
		args := make([]any, len(n.Args))
		for i, a := range n.Args {
			args[i] = a
		}
		r.log.Log(context.Background(), n.Level, n.Text, args...)
		return
	}
	if hear != nil {
		hear(l)
	}
}

// A saying is all that a courier said.
type saying struct {
	answer *courier.Answer
	err    error
}

// listen reads lines up to the answer, or to the end. A line that is none of its own ends it too.
func listen(out io.Reader, hear func(courier.Line)) saying {
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 4096), courier.MaxLine)
	for lines.Scan() {
		l, err := courier.DecodeLine(lines.Bytes())
		if err != nil {
			return saying{err: err}
		}
		if l.Answer != nil {
			return saying{answer: l.Answer}
		}
		hear(l)
	}
	return saying{err: lines.Err()}
}

// errandPipes makes a courier's two pipes, the request already in the first: it fits the pipe's buffer.
func errandPipes(q courier.Request) (*os.File, pipe, error) {
	data, err := courier.EncodeRequest(q)
	if err != nil { // commands and patterns that are too long for it
		return nil, pipe{}, &courier.Failure{Code: exit.Config, Text: err.Error()}
	}
	return filledPipes(data)
}

// errandCode is the code of a run that ends because a courier failed.
func errandCode(err error, otherwise int) int {
	if f, ok := errors.AsType[*courier.Failure](err); ok {
		return cmp.Or(f.Code, exit.Internal)
	}
	return startCode(err, otherwise)
}
