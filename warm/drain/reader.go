package drain

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/warm/memcached"
)

// connectTime bounds the connect for a reader.
const connectTime = 5 * time.Second

// A reader is the process that reads a list, and the connection that it reads from. The connection is made here and
// handed over, so that it can be ended without the process: one that sleeps on a disk dies when the disk answers.
type reader struct {
	cmd      *exec.Cmd
	conn     net.Conn
	in       io.WriteCloser
	messages chan message
}

// run has a list read by a process, and listens to it until it is gone.
func run(ctx context.Context, s memcached.Server, o Options, spool *os.File, grown func()) (last message, err error) {
	conn, err := memcached.Connect(ctx, s, connectTime)
	if ctx.Err() != nil {
		if err == nil {
			conn.Close()
		}
		return last, context.Cause(ctx)
	}
	if err != nil {
		return last, fmt.Errorf("%w: %w", ErrLost, err)
	}
	r := &reader{conn: conn, messages: make(chan message, 64)}
	if err := r.start(o.Path, spool); err != nil {
		return last, errors.Join(fmt.Errorf("%w: %w", ErrReader, err), conn.Close())
	}
	err = json.NewEncoder(r.in).Encode(request{Server: s, Mode: o.Mode, Silent: o.Silent})
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrReader, err)
	} else {
		last, err = follow(ctx, r.messages, o, grown)
	}
	if err != nil { // the server first: it may keep all its clients waiting for us
		err = errors.Join(err, sever(conn))
	}
	err = errors.Join(err, conn.Close())
	return last, r.end(o, err)
}

func (r *reader) start(path string, spool *os.File) error {
	file, err := r.conn.(interface{ File() (*os.File, error) }).File() // as those of both networks have it
	if err != nil {
		return err
	}
	defer file.Close()
	r.cmd = &exec.Cmd{Path: path, Args: []string{Role}, Stderr: os.Stderr, ExtraFiles: []*os.File{spool, file},
		SysProcAttr: &unix.SysProcAttr{Setpgid: true}} // so that a signal for the terminal's group does not stop it
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go hear(out, r.messages)
	return nil
}

// end kills the process, which has said its last word or shall not say it, and waits for its end. A stopped one dies of
// SIGKILL, too; one that sleeps on a disk does not, and is left to who waits for it.
func (r *reader) end(o Options, err error) error {
	killed := r.cmd.Process.Kill()
	if errors.Is(killed, os.ErrProcessDone) {
		killed = nil
	}
	dead := make(chan struct{})
	go func() { // joined here, or by the end of this process
		for range r.messages { // until hear ends
		}
		_ = r.cmd.Wait() // how it ended is no news: what counts is its last message
		close(dead)
	}()
	late := time.NewTimer(o.Death)
	defer late.Stop()
	select {
	case <-dead:
		return err
	case <-late.C:
	}
	err = errors.Join(fmt.Errorf("%w: process %d was killed %v ago and has not ended: its folder %s does not answer; it is left behind, its connection was broken",
		ErrStuck, r.cmd.Process.Pid, o.Death, o.Folder), err, killed)
	o.Stuck(err)
	return err
}

// hear passes the reports on until the process is dead.
func hear(out io.Reader, to chan<- message) {
	defer close(to)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			return
		}
		to <- m
	}
}
