package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the payload itself where a test asks for it, so that no compiler is needed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-role" || os.Getenv("CHAOS_TEST_PAYLOAD") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

type scene struct {
	log string
	cmd *exec.Cmd
}

func start(t *testing.T, args ...string) *scene {
	t.Helper()
	s := &scene{log: filepath.Join(t.TempDir(), "log")}
	s.cmd = exec.Command(os.Args[0], append([]string{"-role", "root", "-log", s.log, "-host", "a.1", "-token", "5", "-tick", "2ms"}, args...)...)
	s.cmd.Env = append(os.Environ(), "CHAOS_TEST_PAYLOAD=1")
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.killMembers(t) })
	return s
}

// fields are column n of all lines, each value once.
func (s *scene) fields(t *testing.T, n int) []string {
	t.Helper()
	raw, err := os.ReadFile(s.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []string
	for line := range bytes.Lines(raw) {
		f := strings.Fields(string(line))
		if len(f) != 6 || line[len(line)-1] != '\n' {
			t.Fatalf("line %q", line)
		}
		all = append(all, f[n])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *scene) wait(t *testing.T, cond func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(2*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("pids %v, events %v", s.fields(t, 4), s.fields(t, 5))
		}
	}
}

// killMembers ends every process that wrote a line: those are ours.
func (s *scene) killMembers(t *testing.T) {
	for _, pid := range s.fields(t, 4) {
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil || !strings.Contains(string(line), s.log) {
			continue // it ended
		}
		if err := exec.Command("kill", "-KILL", pid).Run(); err != nil {
			t.Log(err)
		}
	}
	_ = s.cmd.Wait() // by now it has ended in any case
}

func TestEvents(t *testing.T) {
	s := start(t)
	s.wait(t, func() bool { return slices.Contains(s.fields(t, 5), "tick") })
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait(t, func() bool { return slices.Contains(s.fields(t, 5), "end") })
	if got := s.fields(t, 5); !slices.Equal(got, []string{"begin", "end", "tick"}) {
		t.Error(got)
	}
}

func TestTree(t *testing.T) {
	s := start(t, "-tree", "2", "-daemon", "-ignore-term")
	s.wait(t, func() bool { return len(s.fields(t, 4)) == 4 })
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Count(raw, []byte("\n"))
	s.wait(t, func() bool {
		now, err := os.ReadFile(s.log)
		return err == nil && bytes.Count(now, []byte("\n")) > lines+100
	})
	if got := s.fields(t, 5); !slices.Equal(got, []string{"begin", "join", "tick"}) {
		t.Errorf("it should ignore TERM: %v", got)
	}
}

// TestRejected: a register that refuses shows in the log.
func TestRejected(t *testing.T) {
	lis, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- refuse(lis) }()
	s := start(t, "-register", lis.Addr().String(), "-register-every", "5ms")
	s.wait(t, func() bool { return slices.Contains(s.fields(t, 5), "rejected") })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := lis.Close(); err != nil {
		t.Error(err)
	}
}

// refuse answers the first write with no.
func refuse(lis net.Listener) error {
	c, err := lis.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	buf := make([]byte, 64)
	if _, err := c.Read(buf); err != nil {
		return err
	}
	_, err = c.Write([]byte("no\n"))
	return err
}
