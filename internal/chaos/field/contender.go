package field

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/wire"
)

const contenders = 3

// A Contender is one `interlock run` after the other: when one ends the next is started, as an
// orchestrator does.
type Contender struct {
	Name    string
	Node    *wire.Node
	Isolate string

	field *Field
	stop  context.CancelFunc
	join  sync.WaitGroup

	mu     sync.Mutex
	starts int
	extra  int // starts of Second
	proc   *process
	codes  map[int]int
	guards []int
}

// again is the pause of the orchestrator between the end of a run and the next.
const again = 50 * time.Millisecond

func (f *Field) startContenders(ctx context.Context) error {
	for i := range contenders {
		node, err := f.Net.Attach(fmt.Sprintf("c%d", i+1), wire.Address(21+i))
		if err != nil {
			return err
		}
		c := &Contender{Name: node.Name, Node: node, Isolate: "auto", field: f, codes: map[int]int{}}
		if i == 1 { // one of the three in a cgroup, which can be frozen
			c.Isolate = "cgroup"
		}
		f.Contenders = append(f.Contenders, c)
	}
	if err := f.firstInit(ctx); err != nil {
		return err
	}
	for _, c := range f.Contenders {
		c.run()
	}
	return f.Serving(ctx)
}

// firstInit asks a service again that is still electing.
func (f *Field) firstInit(ctx context.Context) error {
	err := f.Init(ctx)
	for range 50 {
		if err == nil || ctx.Err() != nil {
			break
		}
		Pause(ctx, 200*time.Millisecond)
		err = f.Init(ctx)
	}
	return err
}

// Init is `interlock lock init`: it makes the state record, as an operator does before the first start.
func (f *Field) Init(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, f.Interlock, append(append([]string{"lock", "init"}, f.access()...), f.timing()...)...)
	cmd.Env = environ(f.Env)
	p, err := f.Family.start(f.ops, filepath.Join(f.Dir, "init.log"), cmd)
	if err != nil {
		return err
	}
	<-p.done
	if p.code() != 0 {
		return fmt.Errorf("interlock lock init ended with %d: see %s", p.code(), filepath.Join(f.Dir, "init.log"))
	}
	return nil
}

// access is how the lock is reached.
func (f *Field) access() []string {
	flags := []string{"--lock", f.Service.URL()}
	if f.Backend == EtcdAuth {
		flags = append(flags, "--lock-user", "root", "--lock-password-file", filepath.Join(f.own.shared, passwordName))
	}
	return flags
}

func (f *Field) timing() []string {
	t := f.Timing
	return []string{"--hold", t.Hold.String(), "--heartbeat", t.Heartbeat.String(), "--try-timeout", t.Try.String(),
		"--tries", strconv.Itoa(t.Tries), "--grace", t.Grace.String(), "--kill-budget", t.KillBudget.String(), "--margin", t.Margin.String()}
}

// environ takes variables of a run around us away.
func environ(more []string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "INTERLOCK_") {
			env = append(env, e)
		}
	}
	return append(env, more...)
}

// run keeps one going until close.
func (c *Contender) run() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.join.Add(1)
	go func() {
		defer c.join.Done()
		for ctx.Err() == nil {
			c.once(ctx)
			Pause(ctx, again)
		}
	}()
}

// once is one start to its end.
func (c *Contender) once(ctx context.Context) {
	p, err := c.spawn()
	if err != nil {
		c.field.Log.Error("cannot start a contender", "contender", c.Name, "err", err)
		Pause(ctx, time.Second)
		return
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		c.endAll(p)
	}
	c.mu.Lock()
	c.codes[p.code()]++
	c.mu.Unlock()
	if !slices.Contains(expected(), p.code()) {
		reason, err := os.ReadFile(c.reasonFile())
		c.field.Log.Warn("a contender ended in a way that no fault explains", "contender", c.Name, "start", c.host(), "code", p.code(), "reason", string(reason), "err", err)
	}
}

// expected are the codes of a run that a fault may end: done, the service unreachable, a process of ours
// killed, the lock lost, a login refused while it is switched on, and the signals that faults send.
func expected() []int { return []int{0, 69, 70, 76, 77, 128 + 9, 128 + 15} }

func (c *Contender) reasonFile() string { return filepath.Join(c.field.Dir, c.Name+".reason") }

func (c *Contender) spawn() (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts++
	host := c.host()
	p, err := c.field.Family.start(c.Node, filepath.Join(c.field.Dir, c.Name+".log"), c.command(host))
	if err != nil {
		return nil, err
	}
	c.proc = p
	c.guards = append(c.guards, p.task.PID)
	return p, nil
}

func (c *Contender) command(host string) *exec.Cmd {
	f := c.field
	args := append([]string{"run", "--data", filepath.Join(f.own.shared, "data"),
		"--state-dir", filepath.Join(f.own.shared, "state"), "--holder", c.Name, "--fence-node", c.Name, "--isolate", c.Isolate,
		"--reason-file", c.reasonFile(), "--log-format", "text", "--log-level", "info"}, append(f.access(), f.timing()...)...)
	args = append(args, "--", f.Payload, "-log", f.Trace, "-host", host, "-register", fmt.Sprintf("%s:%d", f.ops.Addr, registerPort), "-stuck", f.swampDir())
	cmd := exec.Command(f.Interlock, append(args, f.manner(host)...)...)
	cmd.Env = append(environ(f.Env), f.clock(host)...)
	return cmd
}

// manner draws how a payload behaves, from the seed and the start alone.
func (f *Field) manner(host string) []string {
	switch rand.New(rand.NewPCG(f.Seed, number(host))).IntN(12) {
	case 0, 1:
		return []string{"-ignore-term"}
	case 2, 3:
		return []string{"-tree", "2"}
	case 4, 5:
		return []string{"-daemon", "-ignore-term"}
	case 6:
		return []string{"-memory", "16"}
	case 7:
		return []string{"-storm", "300"}
	}
	return nil
}

// number is that of a start, for draws.
func number(host string) (n uint64) {
	for _, b := range []byte(host) {
		n = n*31 + uint64(b)
	}
	return n
}

// close ends it with all that it started.
func (c *Contender) close() error {
	if c.stop == nil {
		return nil
	}
	c.stop()
	c.join.Wait()
	return nil
}

// endAll kills a run and all below it.
func (c *Contender) endAll(p *process) {
	tree := append(below(p.task.PID), p.task)
	for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
		if err := Signal(sig, tree...); err != nil {
			c.field.Log.Error("cannot end a contender", "contender", c.Name, "err", err)
		}
	}
	<-p.done
}

// Pause waits for d, or for the end of ctx.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
