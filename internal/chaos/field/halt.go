package field

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	kernel "github.com/interlock-run/interlock/internal/process"
)

// haltPatience is for a process that was sent a stop: one in uninterruptible sleep may take longer, and starts
// nobody in it.
const haltPatience = 2 * time.Second

// Halt stops every process of the run, and gives them, the payloads first. Who stands still starts nobody: it looks
// again until there is nobody new, because a tree that is just being started would have members that no list of it
// has. Where nothing but guard and agent would kill those (a cgroup), a fault that takes both must not leave one.
func (r Run) Halt() ([]Task, error) {
	var all []Task
	for next := r.All(); len(next) > 0; {
		if err := Signal(unix.SIGSTOP, next...); err != nil {
			return all, err
		}
		stand(next)
		all = append(all, next...)
		next = slices.DeleteFunc(r.found(), func(t Task) bool { return slices.Contains(all, t) })
	}
	return all, nil
}

// found are the processes below the guard, and payloads of the run that have lost their parents.
func (r Run) found() []Task {
	var all []Task
	if r.Guard.Alive() {
		all = below(r.Guard.PID)
	}
	for _, t := range below(os.Getpid()) {
		line, err := os.ReadFile(procFile(t.PID, "cmdline"))
		if err != nil {
			continue // it ended
		}
		argv := strings.Split(string(line), "\x00")
		at := slices.Index(argv, "-host")
		if argv[0] == r.Contender.field.Payload && at >= 0 && at+1 < len(argv) && argv[at+1] == r.Host && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// stand waits until none of them runs: a stop that was sent is not one that was obeyed, and a fork may come first.
func stand(tasks []Task) {
	end := time.Now().Add(haltPatience)
	for _, t := range tasks {
		for t.Alive() && !stands(t) && time.Now().Before(end) {
			<-time.After(time.Millisecond)
		}
	}
}

// stands: no thread of it runs.
func stands(t Task) bool {
	files, err := filepath.Glob(procFile(t.PID, "task/*/stat"))
	return err == nil && !slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			return false // it ended
		}
		s, err := kernel.Parse(text)
		return err == nil && !strings.ContainsRune("TtZX", rune(s.State))
	})
}
