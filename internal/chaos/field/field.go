// Package field is what the chaos suite breaks: three servers of a lock service and three contenders, each in
// a network namespace of its own, all of them the real programs.
//
// Promise: three contenders always queue, one that ends is started again; every fault is made from here,
// through the switch between the namespaces, signals, and the service's own operators' interface; nothing
// outlives Close, and next to nothing a SIGKILL of this process. Non-promise: it judges nothing, that is for
// those who read the payloads' log. It needs root. Called by the chaos suite.
package field

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/register"
	"github.com/interlock-run/interlock/internal/chaos/wire"
)

// Timing is that of the contenders.
type Timing struct {
	Hold, Heartbeat, Try, Grace, KillBudget, Margin time.Duration
	Tries                                           int
}

// Quick is the timing of the long suite: about 5 s a fault.
func Quick() Timing {
	const ms = time.Millisecond
	return Timing{Hold: 2 * time.Second, Heartbeat: 200 * ms, Try: 200 * ms, Tries: 3, KillBudget: 500 * ms, Margin: 250 * ms}
}

// Tight leaves next to no slack: a deadline that is late by part of a try shows as an overlap. On a busy
// machine a kill may not fit it; it is for binaries that are broken on purpose.
func Tight() Timing {
	const ms = time.Millisecond
	return Timing{Hold: 2 * time.Second, Heartbeat: 200 * ms, Try: 600 * ms, Tries: 2, KillBudget: 100 * ms, Margin: 10 * ms}
}

// Default is the timing that the product has when nobody says anything.
func Default() Timing {
	const s = time.Second
	return Timing{Hold: 20 * s, Heartbeat: 2 * s, Try: 2 * s, Tries: 3, Grace: 5 * s, KillBudget: s, Margin: 250 * time.Millisecond}
}

// Options say what field to make.
type Options struct {
	Backend   string // etcd, zk
	Interlock string // the binary under test
	Payload   string // binary
	Etcd      string // server binary; etcd's on PATH when empty
	Dir       string // of logs; it must exist
	Seed      uint64
	Timing    Timing
	Env       []string // further variables for the contenders
	Bend      bool     // the clocks of each start go at rates of their own, and can jump; see Bends
	Log       *slog.Logger
	Family    *Family // shared by all fields of a process
}

// A Field is running.
type Field struct {
	Options
	Net        *wire.Net
	Servers    []*Server
	Contenders []*Contender
	Service    Service
	Register   *register.Server
	Trace      string // the payloads' log

	ops  *wire.Node // where operators' tools and the register are
	desk desk
	own  premises
}

// desk is where the register is served.
type desk struct {
	listener net.Listener
	served   chan error
}

// premises are what Close takes away again.
type premises struct {
	shared   string // the protected directory's parent
	reaper   *reaper
	books    []io.Closer
	freezers freezers
	swamp    *swamp // nil where there is no FUSE
}

// A Service is the lock service as its operators see it.
type Service interface {
	URL() string                              // for --lock
	Healthy(ctx context.Context) error        // a quorum answers
	Leader(ctx context.Context) (int, error)  // which server leads
	Queue(ctx context.Context) ([]Key, error) // the lock keys, the holder's first
	Remove(ctx context.Context, k Key) error  // by hand
	RemoveRecord(ctx context.Context) error   // by hand
}

// A Key is one lock key.
type Key struct {
	Name  string
	Lease int64 // etcd's
}

const registerPort = 7000

// New makes the field and returns when a payload runs.
func New(ctx context.Context, o Options) (*Field, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Family == nil {
		o.Family = NewFamily()
	}
	f := &Field{Options: o}
	if err := f.open(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Field) open(ctx context.Context) (err error) {
	if err := sweep(sharedRoot()); err != nil {
		return err
	}
	if f.own.shared, err = os.MkdirTemp(sharedRoot(), fmt.Sprintf("%s%d-", sharedName, os.Getpid())); err != nil {
		return err
	}
	f.Trace = filepath.Join(f.own.shared, "payload.log")
	if err := os.Mkdir(filepath.Join(f.own.shared, "data"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.own.shared, passwordName), []byte(rootPassword), 0o600); err != nil {
		return err
	}
	if f.own.swamp, err = openSwamp(f.swampDir()); err != nil {
		return err
	}
	f.own.reaper = startReaper(f.Family)
	f.Net = wire.New(f.Seed)
	if f.ops, err = f.Net.Attach("ops", wire.Address(1)); err != nil {
		return err
	}
	if err := f.serveRegister(); err != nil {
		return err
	}
	if err := f.startServers(ctx); err != nil {
		return err
	}
	return f.startContenders(ctx)
}

// sharedRoot is in memory where it can be: the suite measures locks, not disks.
func sharedRoot() string {
	if dir := "/dev/shm"; writable(dir) {
		return dir
	}
	return os.TempDir()
}

func writable(dir string) bool {
	f, err := os.CreateTemp(dir, "chaos")
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(f.Name())) == nil
}

func (f *Field) serveRegister() error {
	lis, err := f.ops.Listen(fmt.Sprintf("%s:%d", f.ops.Addr, registerPort))
	if err != nil {
		return err
	}
	book, err := os.Create(filepath.Join(f.Dir, "register.log"))
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	f.own.books = append(f.own.books, book)
	f.desk.listener, f.desk.served, f.Register = lis, make(chan error, 1), register.New(book)
	go func() { f.desk.served <- f.Register.Serve(lis) }()
	return nil
}
