package testkit

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// spawner starts every process of the kit from one thread that never ends.
// The parent-death signal is tied to the creating thread: a thread that the
// runtime ends would take a healthy server with it.
type spawner struct {
	once sync.Once
	jobs chan spawnJob

	mu   sync.Mutex
	pids map[int]bool // all ever made
}

type spawnJob struct {
	cmd  *exec.Cmd
	done chan error
}

// start is cmd.Start with SIGKILL at the death of the test process. The
// process gets its own group, so that Ctrl-C reaches the test process only.
func (s *spawner) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	s.once.Do(func() { s.jobs = make(chan spawnJob); go s.serve() })
	job := spawnJob{cmd: cmd, done: make(chan error, 1)}
	s.jobs <- job
	return <-job.done
}

// serve runs until the test process ends; that end is its join.
func (s *spawner) serve() {
	runtime.LockOSThread()
	for job := range s.jobs {
		err := job.cmd.Start()
		if err == nil {
			s.note(job.cmd.Process.Pid)
		}
		job.done <- err
	}
}

func (s *spawner) note(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pids == nil {
		s.pids = map[int]bool{}
	}
	s.pids[pid] = true
}

// made tells whether a process with this number was started here.
func (s *spawner) made(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pids[pid]
}
