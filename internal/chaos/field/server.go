package field

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/wire"
)

const servers = 3

// EtcdCurrent is the backend etcd with a server that was built for the suite.
const EtcdCurrent = "etcd-current"

// EtcdAuth is the backend etcd with authentication on, and tokens that live for 5 s.
const EtcdAuth = "etcd-auth"

// A Server is one node of the lock service; it keeps its address and its data.
type Server struct {
	Name string
	Node *wire.Node

	args  []string
	log   string
	kin   *Family
	ready func(context.Context) error

	mu   sync.Mutex
	proc *process
}

// Start starts it, also again; it does not wait for it to answer: without its peers it may not.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && !s.proc.ended() {
		return nil
	}
	var err error
	s.proc, err = s.kin.start(s.Node, s.log, exec.Command(s.args[0], s.args[1:]...))
	return err
}

// Await waits until it answers.
func (s *Server) Await(ctx context.Context) error {
	return poll(ctx, s.Name+" does not answer", func() error {
		s.mu.Lock()
		ended := s.proc == nil || s.proc.ended()
		s.mu.Unlock()
		if ended {
			return fmt.Errorf("it does not run: see %s", s.log)
		}
		try, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return s.ready(try)
	})
}

// Kill ends it at once.
func (s *Server) Kill() error { return s.end(unix.SIGKILL) }

// Stop ends it in its own order.
func (s *Server) Stop() error { return s.end(unix.SIGTERM) }

func (s *Server) end(sig unix.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	return s.proc.end(sig, 3*time.Second)
}

// Signal sends STOP or CONT.
func (s *Server) Signal(sig unix.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return fmt.Errorf("%s does not run", s.Name)
	}
	return s.proc.task.Signal(sig)
}

// startServers starts all, for none answers alone, and waits for them.
func (f *Field) startServers(ctx context.Context) error {
	for i := range servers {
		node, err := f.Net.Attach(fmt.Sprintf("s%d", i+1), wire.Address(11+i))
		if err != nil {
			return err
		}
		f.Servers = append(f.Servers, &Server{Name: node.Name, Node: node, kin: f.Family})
	}
	if err := f.backend(); err != nil {
		return err
	}
	for _, s := range f.Servers {
		if err := s.Start(); err != nil {
			return err
		}
	}
	for _, s := range f.Servers {
		if err := s.Await(ctx); err != nil {
			return err
		}
	}
	if e, ok := f.Service.(*Etcd); ok && f.Backend == EtcdAuth {
		return e.secure(ctx)
	}
	return nil
}

// backend makes the servers those of the service.
func (f *Field) backend() error {
	for _, s := range f.Servers {
		if err := os.MkdirAll(f.serverDir(s), 0o755); err != nil {
			return err
		}
	}
	switch f.Backend {
	case "etcd", EtcdCurrent, EtcdAuth:
		return f.etcd()
	case "zk":
		return f.zooKeeper()
	}
	return fmt.Errorf("backend %q: expected etcd, etcd-auth, etcd-current or zk", f.Backend)
}

// poll asks until there is no error; the context bounds it.
func poll(ctx context.Context, what string, cond func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(context.Cause(ctx), err))
		}
	}
}
