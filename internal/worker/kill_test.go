package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/restore"
)

// points are those of one file that is replaced.
func points(name string) []string {
	return []string{name + ":create", name + ":written", name + ":rename", name + ":renamed", name + ":done"}
}

// A claim is the old one or the new one, whenever the writer is killed.
func TestClaimKilledAtEveryPoint(t *testing.T) {
	for i, point := range points("claim") {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprint(point, "/", before), func(t *testing.T) {
				r := scene(t)
				if before {
					mustOK(t, ask(t, r.claiming()))
				}
				r.Token, r.Holder = 2, "b"
				if !killedAt(t, point, r.claiming()) {
					t.Fatal("not killed there")
				}
				renamed := i >= 3
				there := mustOK(t, ask(t, r.as(OpReadClaim))).Claim
				switch {
				case renamed && (there == nil || there.Token != 2),
					!renamed && before && (there == nil || there.Token != 1),
					!renamed && !before && there != nil:
					t.Errorf("claim is %+v", there)
				}
				mustOK(t, ask(t, r.claiming()))
				names, err := os.ReadDir(r.StateDir)
				if err != nil || len(names) != 1 {
					t.Errorf("%v %v: expected the claim alone", names, err)
				}
			})
		}
	}
}

// beginPoints are all of Begin: the first replace records empty, the second the start; or cleanup.
func beginPoints(cleanup bool) []string {
	var all []string
	for _, p := range points("restore") {
		all = append(all, p+"#1")
		if !cleanup {
			all = append(all, p+"#2")
		}
	}
	all = append(all, "restore:state")
	if !cleanup {
		return append(all, "restore:recorded")
	}
	for n := range filled {
		all = append(all, fmt.Sprint("restore:cleanup:", n+1))
	}
	return append(all, "restore:cleaned")
}

// mustRepeat carries a restore to its end as the next holder and checks that nothing old is left.
func mustRepeat(t *testing.T, r Request) {
	t.Helper()
	r.Token += 10
	seen := mustOK(t, ask(t, r.as(OpInspect)))
	if a := seen.Decision.Action; a != restore.Run && a != restore.Resume {
		t.Fatalf("decided %+v after %+v: expected to restore", seen.Decision, seen.Look)
	}
	r.Want = seen.Decision
	mustOK(t, ask(t, r.as(OpBegin)))
	names, err := os.ReadDir(r.Data)
	if err != nil || len(names) != 0 {
		t.Fatalf("%v %v: expected it empty before the script", names, err)
	}
	if err := os.WriteFile(filepath.Join(r.Data, "whole"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.Want = nil
	mustOK(t, ask(t, r.as(OpCommit)))
	if d := mustOK(t, ask(t, r.as(OpInspect))).Decision; d.Action != restore.None {
		t.Errorf("decided %+v: expected none", d)
	}
}

func TestFirstBeginKilledAtEveryPoint(t *testing.T) {
	for _, point := range beginPoints(false) {
		t.Run(point, func(t *testing.T) {
			r := scene(t)
			r.Want = &restore.Decision{Action: restore.Run}
			if !killedAt(t, point, r.as(OpBegin)) {
				t.Fatal("not killed there")
			}
			mustRepeat(t, r)
		})
	}
}

func TestRepeatedBeginKilledAtEveryPoint(t *testing.T) {
	for _, point := range beginPoints(true) {
		t.Run(point, func(t *testing.T) {
			r := scene(t)
			r.Want = &restore.Decision{Action: restore.Run}
			mustOK(t, ask(t, r.as(OpBegin)))
			fill(t, r.Data)
			r.Token++
			r.Want = &restore.Decision{Action: restore.Resume, Cleanup: true}
			if !killedAt(t, point, r.as(OpBegin)) {
				t.Fatal("not killed there")
			}
			mustRepeat(t, r)
		})
	}
}

// Killed in the commit: repeated, or clean with all the data there.
func TestCommitKilledAtEveryPoint(t *testing.T) {
	for _, point := range append(points("restore"), "restore:commit") {
		t.Run(point, func(t *testing.T) {
			r := scene(t)
			r.Want = &restore.Decision{Action: restore.Run}
			mustOK(t, ask(t, r.as(OpBegin)))
			fill(t, r.Data)
			if !killedAt(t, point, r.as(OpCommit)) {
				t.Fatal("not killed there")
			}
			clean := strings.HasSuffix(point, ":renamed") || strings.HasSuffix(point, ":done")
			r.Token++
			seen := mustOK(t, ask(t, r.as(OpInspect)))
			if got := seen.Decision.Action == restore.None; got != clean {
				t.Fatalf("%+v: expected clean %v", seen.Decision, clean)
			}
			if !clean {
				mustRepeat(t, r)
			}
		})
	}
}

// always: killed anywhere, nothing is removed, and it is repeated.
func TestAlwaysKilledAtEveryPoint(t *testing.T) {
	for _, point := range append(points("restore"), "restore:state") {
		t.Run(point, func(t *testing.T) {
			r := scene(t)
			fill(t, r.Data)
			r.When = restore.WhenAlways
			r.Want = &restore.Decision{Action: restore.Run}
			if !killedAt(t, point, r.as(OpBegin)) {
				t.Fatal("not killed there")
			}
			r.Token++
			seen := mustOK(t, ask(t, r.as(OpInspect)))
			r.Want = seen.Decision
			mustOK(t, ask(t, r.as(OpBegin)))
			if _, err := os.Stat(filepath.Join(r.Data, "a/b/c/y")); err != nil {
				t.Error(err)
			}
		})
	}
}

// Two workers at once: the second is refused while the first is stopped in the midst, and not after it.
func TestSecondWorkerIsRefused(t *testing.T) {
	r := scene(t)
	cmd := command(t, binary(t, true), r.claiming())
	cmd.Env = append(os.Environ(), "BREAKPOINT=claim:rename=stop")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped(t, cmd.Process.Pid)
	later := r
	later.Token, later.Holder = 2, "b"
	if a := ask(t, later.claiming()); a.OK || a.Kind != KindRefused {
		t.Errorf("%+v: expected refused", a)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the first worker was not killed")
	}
	mustOK(t, ask(t, later.claiming()))
}

// stopped waits until a process is stopped.
func stopped(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(rest, "T") {
			return
		}
		<-tick.C
	}
	t.Fatal("the worker did not stop at its break point")
}

// A signal to the whole tree does not end a worker.
func TestSignalsAreIgnored(t *testing.T) {
	r := scene(t)
	cmd := command(t, binary(t, true), r.claiming())
	cmd.Env = append(os.Environ(), "BREAKPOINT=claim:rename=stop")
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped(t, cmd.Process.Pid)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGCONT} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if a, err := DecodeResponse([]byte(out.String())); err != nil || !a.OK {
		t.Errorf("%+v, %v", a, err)
	}
}
