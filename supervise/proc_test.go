package supervise

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the processes cannot be read, nobody is known to be dead, and nobody is killed.
func TestUnreadableIsNotEmpty(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: min(64, before.Max), Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var open []*os.File
	for err := error(nil); err == nil && len(open) <= 64; {
		var f *os.File
		if f, err = os.Open(os.DevNull); err == nil {
			open = append(open, f)
		}
	}
	l := &Link{guardPID: os.Getppid()}
	whole := brood{agent: &agentProcess{reaped: true}, looks: &l.looks, whole: true}
	empty, all, found := whole.empty(), whole.members(), l.kindred([]string{"NOBODY=x"})
	_ = open[0].Close() // for the directory; none is left for a list in it
	others := l.others()
	for _, f := range open[1:] {
		_ = f.Close()
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if empty {
		t.Error("called empty")
	}
	for name, list := range map[string][]task{"members": all, "kindred": found, "others": others} {
		if len(list) == 0 || slices.ContainsFunc(list, func(t task) bool { return !t.unsure }) {
			t.Errorf("%s %v: expected that nothing is known", name, list)
		}
	}
}

// What a look hangs at is not signalled: its number may be another's.
func TestUnsureIsNotKilled(t *testing.T) {
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	sweep(func() []task { return []task{{p.Pid, true}} })
	kerr := p.Signal(unix.SIGTERM) // a KILL before it would win
	st, err := p.Wait()
	if err != nil || kerr != nil || st.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
		t.Errorf("%v, %v, %v: expected that it had got no signal", st, err, kerr)
	}
}
