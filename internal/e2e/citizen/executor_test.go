package citizen

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A process as the executor sees it.
type process struct{ pid, parent, group, session int }

// processes reads all of /proc, as the executor does after each process that it has stopped.
func processes(t testing.TB) []process {
	t.Helper()
	names, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []process
	for _, n := range names {
		if pid, err := strconv.Atoi(n.Name()); err == nil {
			if p, there := look(t, pid); there {
				all = append(all, p)
			}
		}
	}
	return all
}

// look is one process, if it is still there.
func look(t testing.TB, pid int) (process, bool) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false // ended meanwhile
	}
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	parent, err1 := strconv.Atoi(f[1])
	group, err2 := strconv.Atoi(f[2])
	session, err3 := strconv.Atoi(f[3])
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatalf("/proc/%d/stat: %v: %q", pid, err, raw)
	}
	return process{pid, parent, group, session}, true
}

// killtree walks from the root along children, process groups and sessions, stops each process as it comes
// to it and reads the list again; then it signals all, then it continues all. What has ended meanwhile is
// passed over. A root that is gone leaves its group and its session to begin with.
func killtree(t testing.TB, root int, sig syscall.Signal) {
	t.Helper()
	queue := []int{root}
	if _, there := look(t, root); !there {
		queue = pick(processes(t), func(p process) bool { return p.group == root || p.session == root })
	}
	own := unix.Getpgrp()
	visited, groups, sessions := []int{}, map[int]bool{own: true}, map[int]bool{}
	if sid, err := unix.Getsid(0); err == nil {
		sessions[sid] = true // the executor's own: not up the tree
	}
	seen := map[int]bool{}
	for ; len(queue) > 0; queue = queue[1:] {
		p, there := look(t, queue[0])
		if seen[queue[0]] || !there {
			continue
		}
		tell(t, p.pid, syscall.SIGSTOP)
		seen[p.pid] = true
		visited = append(visited, p.pid)
		all := processes(t)
		queue = append(queue, pick(all, func(o process) bool { return o.parent == p.pid })...)
		if !groups[p.group] {
			queue = append(queue, pick(all, func(o process) bool { return o.group == p.group })...)
		}
		if !sessions[p.session] {
			queue = append(queue, pick(all, func(o process) bool { return o.session == p.session })...)
		}
		groups[p.group], sessions[p.session] = true, true
	}
	for _, s := range []syscall.Signal{sig, syscall.SIGCONT} {
		for _, pid := range visited {
			tell(t, pid, s)
		}
	}
}

func pick(all []process, wanted func(process) bool) []int {
	var pids []int
	for _, p := range all {
		if wanted(p) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func tell(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
		t.Fatalf("kill -%d %d: %v", int(sig), pid, err)
	}
}

// leaves is how long the executor stays after its task's first process was reaped; the agent destroys the
// container then.
const leaves = time.Second

// A task is a job as the executor started it: the leader of a session of its own.
type task struct {
	*scene.Job
	tree testkit.Tree
}

// asTask makes a job a Mesos task.
func asTask(env ...string) scene.Option {
	own := scene.Cmd(func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} })
	vars := scene.Env(append([]string{"MESOS_TASK_ID=orders.1"}, env...)...)
	return scene.All(own, vars)
}

// form is how Marathon hands the command over: args, or cmd by way of /bin/sh -c.
func form(name string) scene.Option {
	prefix := map[string]string{"cmd": "", "cmd with exec": "exec "}
	first, shell := prefix[name]
	return scene.Wrapped(func(_ testing.TB, argv ...string) []string {
		if !shell {
			return argv
		}
		for i, a := range argv {
			argv[i] = "'" + a + "'"
		}
		return []string{"/bin/sh", "-c", first + strings.Join(argv, " ")}
	})
}

// kill is the executor's: TERM to the tree, KILL to it after the grace, and the end of the container. It
// gives the exit code, and how long the first process lived after the TERM.
func (k task) kill(t testing.TB, grace time.Duration) (code int, lived time.Duration) {
	t.Helper()
	k.tree = testkit.Snapshot(t, k.Pid())
	killtree(t, k.Pid(), syscall.SIGTERM)
	asked := scene.Now()
	select {
	case <-k.Exited():
	case <-time.After(grace):
		killtree(t, k.Pid(), syscall.SIGKILL)
	}
	code = k.Wait(t, limit)
	lived = scene.Now() - asked
	<-time.After(leaves)
	for _, pid := range k.tree.Alive() {
		tell(t, pid, syscall.SIGKILL)
	}
	k.tree.WaitGone(t, limit)
	return code, lived
}

const limit = 30 * time.Second
