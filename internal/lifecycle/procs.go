package lifecycle

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/supervise"
)

// procs follows the processes other than the payload that the guard was asked to start.
type procs struct {
	last    uint32
	waiting map[uint32]chan procEnd
	backup  uint32 // the courier that takes one, 0 for none
}

// procEnd is how one of them ended, or why it did not start.
type procEnd struct {
	failed bool
	stage  string
	errno  syscall.Errno
	text   string // why it did not start, or what is known besides its status
	status syscall.WaitStatus
}

// payload is the one process that the run is about.
type payload struct {
	id      uint32
	pid     int
	exited  bool
	status  syscall.WaitStatus // once it has exited
	signal  syscall.Signal     // what told us to stop, 0 for none
	due     syscall.Signal     // to be sent once it has become the command, 0 for none
	told    syscall.Signal     // what it was told to end by, 0 for nothing
	started time.Time
	memory  memory // of the cgroup that it runs in
}

const payloadID = 1

// orderly tells whether it ended as a service does that puts its files in order: by itself, or by the signal
// that it was told to end by. A shell says 128+n for its child.
func (p payload) orderly() bool {
	byTold := p.told != 0 && exitCode(p.status) == exit.Signaled(int(p.told))
	return p.exited && (p.status.Exited() && p.status.ExitStatus() == 0 || byTold && p.told != syscall.SIGKILL)
}

// spawn asks the guard for a process and gives the channel on which its end arrives. Called by the
// deciding loop alone.
func (r *Runner) spawn(s supervise.Spec) (uint32, chan procEnd) {
	if r.domain.procs.last < payloadID {
		r.domain.procs.last = payloadID
	}
	r.domain.procs.last++
	s.ID, s.Tenure = r.domain.procs.last, r.hold.tenant
	end := make(chan procEnd, 2) // the guard's word, and a worker's own
	r.hold.writes = true
	if err := r.guard.Start(s); err != nil {
		end <- procEnd{failed: true, stage: "order", text: err.Error()}
		return s.ID, end
	}
	r.domain.procs.waiting[s.ID] = end
	return s.ID, end
}

// ended delivers an end to whoever waits for it.
func (r *Runner) ended(id uint32, e procEnd) {
	if end, ok := r.domain.procs.waiting[id]; ok {
		delete(r.domain.procs.waiting, id)
		end <- e
	}
}

// await waits for a process until it ends, its time is up, or the phase is over. Past its time it is
// killed, and its end still waited for.
func (r *Runner) await(ctx context.Context, id uint32, end <-chan procEnd, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case e := <-end:
		return e.err()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	if err := r.guard.KillOne(id); err != nil {
		return fmt.Errorf("not ended after %v, and it could not be killed: %w", limit, err)
	}
	timer.Reset(r.plan.Lock.Options.Timing.KillBudget)
	select {
	case <-end:
	case <-ctx.Done():
	case <-timer.C:
		return fmt.Errorf("not ended after %v, %w", limit, errUndead)
	}
	return fmt.Errorf("not ended after %v: killed; raise its timeout if it needs longer", limit)
}

// errUndead is a process that SIGKILL has not ended: the run goes on without it, to the kill of all.
var errUndead = errors.New("and killed, but not dead: in uninterruptible sleep?")

// errRefused is a start that the guard refused: the lease has run out, by the guard's clock.
var errRefused = errors.New("the guard refused to start it")

// startCode is the code of a step that failed by err: a refused start is a lost lease.
func startCode(err error, otherwise int) int {
	if errors.Is(err, errRefused) {
		return exit.Lost
	}
	return otherwise
}

func (e procEnd) err() error {
	switch {
	case e.failed && e.stage == supervise.StageRefused:
		return fmt.Errorf("%w: %s", errRefused, e.text)
	case e.failed && e.errno != 0:
		return fmt.Errorf("cannot start it: %s: %w", e.stage, e.errno)
	case e.failed:
		return fmt.Errorf("cannot start it: %s: %s", e.stage, e.text)
	case e.status.Signaled():
		return fmt.Errorf("ended by signal %d (%v)%s", int(e.status.Signal()), e.status.Signal(), e.text)
	case e.status.ExitStatus() != 0:
		return fmt.Errorf("ended with exit status %d%s", e.status.ExitStatus(), e.text)
	}
	return nil
}

// payloadPIDVariable names the payload's pid as seen from outside; the payload's own gate fills it in.
const payloadPIDVariable = "INTERLOCK_PAYLOAD_PID"

// env is what payload, hooks and scripts are given, and no other INTERLOCK_ variable (fencing token (a)).
func (r *Runner) env() []string {
	v := []string{
		"INTERLOCK_TOKEN=" + r.hold.tenure.Token().String(),
		"INTERLOCK_HOLDER=" + r.plan.Lock.Options.Holder,
		"INTERLOCK_LOCK=" + r.plan.Lock.Name,
	}
	if r.domain.payload.pid != 0 {
		v = append(v, fmt.Sprintf("%s=%d", payloadPIDVariable, r.domain.payload.pid))
	}
	return v
}

// command starts a hook or script; wait blocks until it ended, in a step.
func (r *Runner) command(argv []string, limit time.Duration) (wait func(context.Context) error) {
	_, wait = r.commandID(argv, limit)
	return wait
}

// commandID also tells which process it is.
func (r *Runner) commandID(argv []string, limit time.Duration) (id uint32, wait func(context.Context) error) {
	id, end := r.spawn(supervise.Spec{Argv: argv, Env: r.env()})
	return id, func(ctx context.Context) error { return r.await(ctx, id, end, limit) }
}

// ask starts a worker in the kill domain with one request; wait gives its answer, in a step.
func (r *Runner) ask(req worker.Request, limit time.Duration) (wait func(context.Context) (worker.Response, error)) {
	in, out, err := requestPipes(req)
	if err != nil {
		return func(context.Context) (worker.Response, error) { return worker.Response{}, err }
	}
	inR, outR, outW := in, out.r, out.w
	id, end := r.spawn(supervise.Spec{Worker: true, Env: r.env(), Stdin: inR, Stdout: outW})
	closeAll(inR, outW) // the guard has its own
	return func(ctx context.Context) (worker.Response, error) {
		defer closeAll(outR)
		var answer bytes.Buffer
		read := make(chan error, 1)
		go func() {
			_, err := io.Copy(&answer, io.LimitReader(outR, answerLimit))
			if err == nil && answer.Len() > 0 {
				end <- procEnd{} // the answer is its last act: nothing need wait until its end was reaped
			}
			read <- err
		}()
		err := r.await(ctx, id, end, limit)
		if ctx.Err() != nil || errors.Is(err, errUndead) {
			closeAll(outR) // unblocks the reader: the worker may be stuck with the pipe open
			<-read
			return worker.Response{}, cmp.Or(ctx.Err(), err)
		}
		hurry(outR)
		if rerr := <-read; err == nil {
			err = rerr
		}
		if err != nil && answer.Len() == 0 {
			return worker.Response{}, err
		}
		return worker.DecodeResponse(answer.Bytes())
	}
}

const answerLimit = 1 << 20

type pipe struct{ r, w *os.File }

// requestPipes makes the worker's two pipes, the request already in the first: it fits the pipe's buffer.
func requestPipes(req worker.Request) (*os.File, pipe, error) {
	data, err := worker.EncodeRequest(req)
	if err != nil {
		return nil, pipe{}, err
	}
	return filledPipes(data)
}

// lastWords is how long what a process has said is read once it has ended. Whatever it had begun and does not
// die (a command whose file cannot be read, say) may hold the pipe open for ever.
const lastWords = 2 * time.Second

func hurry(out *os.File) {
	if out.SetReadDeadline(time.Now().Add(lastWords)) != nil {
		closeAll(out)
	}
}

// fill never waits, because the deciding loop calls it. A user with many pipes gets small ones, which root
// alone may make larger.
func fill(w *os.File, data []byte) error {
	conn, err := w.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var werr error
	err = conn.Write(func(fd uintptr) bool {
		if size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && size < len(data) {
			_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, len(data)) // the write tells
		}
		n, werr = unix.Write(int(fd), data)
		return true
	})
	switch {
	case err != nil || werr != nil:
		return fmt.Errorf("request to a worker: %w", errors.Join(err, werr))
	case n < len(data):
		return fmt.Errorf("request to a worker: its pipe takes %d of %d bytes: this user has too many pipes (fs.pipe-user-pages-soft)", n, len(data))
	}
	return nil
}

func filledPipes(data []byte) (*os.File, pipe, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, pipe{}, err
	}
	err = fill(inW, data)
	closeAll(inW)
	if err != nil {
		closeAll(inR)
		return nil, pipe{}, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		closeAll(inR)
		return nil, pipe{}, err
	}
	return inR, pipe{outR, outW}, nil
}

// closeAll closes pipe ends; a second close of the same end is harmless and its error says nothing.
func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// exitCode is the payload's own code: its status, or 128+n.
func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return exit.Signaled(int(s.Signal()))
	}
	return s.ExitStatus()
}
