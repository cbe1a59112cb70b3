package testkit

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProcessExitAndOutput(t *testing.T) {
	p := Start(t, "sh", "-c", "echo out; echo err >&2; exit 7")
	if code := p.Wait(t, 10*time.Second); code != 7 {
		t.Errorf("exit %d, want 7", code)
	}
	if p.Stdout(t) != "out\n" || p.Stderr(t) != "err\n" {
		t.Errorf("stdout %q stderr %q", p.Stdout(t), p.Stderr(t))
	}
	p = Start(t, "sleep", "1000")
	p.Signal(t, syscall.SIGKILL)
	if code := p.Wait(t, 10*time.Second); code != 137 {
		t.Errorf("exit %d, want 137", code)
	}
}

func TestCleanupEndsTheTree(t *testing.T) {
	var tree Tree
	t.Run("leaves a tree", func(t *testing.T) {
		p := Start(t, "sh", "-c", "trap '' TERM; setsid sleep 1000 & (trap '' TERM; sleep 1000) & wait")
		Wait(t, 10*time.Second, func() (bool, string) {
			n := len(Descendants(p.Pid()))
			return n >= 2, fmt.Sprintf("%d descendants", n)
		})
		tree = Snapshot(t, p.Pid())
	})
	if len(tree.Pids()) < 3 {
		t.Fatalf("saw only %v", tree.Pids())
	}
	tree.WaitGone(t, 10*time.Second)
}

func TestAsPID1AndUnprivileged(t *testing.T) {
	p := Start(t, AsPID1(t, "sh", "-c", "echo $$; exec sleep 1000")...)
	inner := InnerPid(t, p)
	Wait(t, 10*time.Second, func() (bool, string) { out := p.Stdout(t); return out == "1\n", out })
	must(t, syscall.Kill(inner, syscall.SIGKILL))
	if code := p.Wait(t, 10*time.Second); code == 0 {
		t.Error("exit 0 after a kill")
	}
	dir := PublicDir(t)
	p = Start(t, Unprivileged(t, "sh", "-c", "id -u; grep -E 'CapEff|CapBnd' /proc/self/status; touch "+dir+"/x")...)
	if code := p.Wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
	want := "65534\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
	if p.Stdout(t) != want {
		t.Errorf("got %q", p.Stdout(t))
	}
}

// TestHelper is not a test: the tests below run this binary with it.
func TestHelper(t *testing.T) {
	switch mode := os.Getenv("TESTKIT_HELPER"); mode {
	case "":
		return
	case "leak":
		must(t, proc.spawner.start(exec.Command("sleep", "1001")))
	case "leak-daemon":
		must(t, exec.Command("sh", "-c", "setsid sh -c 'sleep 1002 & exec sleep 1002' >/dev/null 2>&1 &").Run())
	case "leak-mount":
		must(t, syscall.Mount("tmpfs", mountpoint(t), "tmpfs", 0, ""))
	case "leak-cgroup":
		p := Start(t, "true")
		must(t, os.Mkdir(fmt.Sprintf("%s/interlock-%d-x", os.Getenv("TESTKIT_CGROUP"), p.Pid()), 0o755))
	case "environment":
		fmt.Println("left:", os.Getenv("INTERLOCK_LOCK"), "long:", Long())
	case "skip":
		Skip(t, "floppy", "no\tdrive\n")
	case "hold":
		fmt.Println("server", SharedEtcd(t).Pid())
		<-make(chan struct{})
	}
}

func mountpoint(t *testing.T) string {
	dir, err := os.MkdirTemp("", "m")
	must(t, err)
	return dir
}

func helper(t *testing.T, mode string) *exec.Cmd {
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, "-test.run=^TestHelper$", "-test.v")
	cmd.Env = append(os.Environ(), "TESTKIT_HELPER="+mode)
	return cmd
}

func TestLeftProcessesFailTheRun(t *testing.T) {
	for _, mode := range []string{"leak", "leak-daemon"} {
		p := StartCmd(t, helper(t, mode))
		if code := p.Wait(t, 30*time.Second); code != 1 {
			t.Errorf("%s: exit %d, want 1", mode, code)
		}
		if !strings.Contains(p.Stderr(t), "left processes behind") {
			t.Errorf("%s: stderr %q", mode, p.Stderr(t))
		}
		if left := Orphans(); len(left) > 0 {
			t.Errorf("%s: leaked processes not ended: %v", mode, left)
		}
	}
}

func TestLeftMountFailsTheRun(t *testing.T) {
	RequireRoot(t)
	p := StartCmd(t, helper(t, "leak-mount"))
	if code := p.Wait(t, 30*time.Second); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	found := MountsBelow(os.TempDir())
	for _, m := range found {
		must(t, syscall.Unmount(m, 0))
	}
	if len(found) != 1 {
		t.Errorf("mounts %v, want one", found)
	}
}

// The parent-death signal is the last line: nothing of Main runs here.
func TestServersDieWithAKilledTestProcess(t *testing.T) {
	skipWithoutEtcd(t)
	cmd := helper(t, "hold")
	out, err := cmd.StdoutPipe()
	must(t, err)
	p := StartCmd(t, cmd)
	var pid int
	for sc := bufio.NewScanner(out); pid == 0 && sc.Scan(); {
		if word, ok := strings.CutPrefix(sc.Text(), "server "); ok {
			pid, err = strconv.Atoi(word)
			must(t, err)
		}
	}
	server := Snapshot(t, pid)
	p.Signal(t, syscall.SIGKILL)
	server.WaitGone(t, 10*time.Second)
}

func TestSkipIsRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	cmd := helper(t, "skip")
	cmd.Env = append(cmd.Env, SkipLogVar+"="+path)
	if code := StartCmd(t, cmd).Wait(t, 30*time.Second); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	if want := "skip\tfloppy\tno drive \tTestHelper\n"; string(raw) != want {
		t.Errorf("log %q, want %q", raw, want)
	}
}

func TestLeftCgroupFailsTheRun(t *testing.T) {
	RequireRoot(t)
	top := ""
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(dir + "/cgroup.procs"); err == nil {
			top = dir
			break
		}
	}
	if top == "" {
		Skip(t, "cgroup2", "no cgroup v2 hierarchy is mounted")
	}
	cmd := helper(t, "leak-cgroup")
	cmd.Env = append(cmd.Env, "TESTKIT_CGROUP="+top)
	p := StartCmd(t, cmd)
	if code := p.Wait(t, 30*time.Second); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	left, err := filepath.Glob(top + "/interlock-*-x")
	must(t, err)
	for _, path := range left {
		must(t, os.Remove(path))
	}
	if len(left) != 1 {
		t.Errorf("cgroups %v, want one", left)
	}
}

func TestNoVariableOfTheCallerReachesTests(t *testing.T) {
	cmd := helper(t, "environment")
	cmd.Env = append(cmd.Env, "INTERLOCK_LOCK=x", "INTERLOCK_TEST_LONG=1")
	p := StartCmd(t, cmd)
	if code := p.Wait(t, 30*time.Second); code != 0 || !strings.Contains(p.Stdout(t), "left:  long: true") {
		t.Errorf("exit %d, stdout %q", code, p.Stdout(t))
	}
}
