package mountcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/process"
	"github.com/interlock-run/interlock/mountcheck/probe"
)

// held is a probe helper of somebody who looked before, killed, and not let go by the kernel: a mount that hangs
// would get one more with each `mount check` of an orchestrator, and with each start of a run.
type held struct {
	pid   int
	start string // when it was started, in ticks: another process may get its number
}

// heldOn lists those that wait in the mount at this path of our mount namespace.
func heldOn(mount string) (all []held) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && readSmall(pid, "comm") == probe.Name+"\n" {
			if h := (held{pid: pid}); h.asks(mount) && h.killed() {
				h.start = startOf(pid)
				all = append(all, h)
			}
		}
	}
	return all
}

// asks tells whether it was started for this mount, or has something open there, where we see the same mounts as
// it does.
func (h held) asks(mount string) bool {
	theirs, err1 := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", h.pid))
	ours, err2 := os.Readlink("/proc/self/ns/mnt")
	if err1 != nil || err2 != nil || theirs != ours {
		return false
	}
	argv := strings.Split(readSmall(h.pid, "cmdline"), "\x00")
	return len(argv) > 1 && argv[1] == mount || h.open(mount)
}

// open: a helper that was forked ahead has no mount among its arguments.
func (h held) open(mount string) bool {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", h.pid))
	return err == nil && slices.ContainsFunc(links, func(link string) bool {
		path, err := os.Readlink(link)
		return err == nil && mount != "/" && under(mount, path)
	})
}

// sigkill is its bit in a set of signals.
const sigkill = 1 << 8

// killed tells whether it has been sent the signal that it does not end by.
func (h held) killed() bool {
	for line := range strings.Lines(readSmall(h.pid, "status")) {
		name, set, _ := strings.Cut(line, ":")
		if name == "SigPnd" || name == "ShdPnd" {
			if n, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64); err == nil && n&sigkill != 0 {
				return true
			}
		}
	}
	return false
}

// gone also tells one that was gone when its start was asked for.
func (h held) gone() bool { return h.start == "" || startOf(h.pid) != h.start }

// startOf is empty for a process that is gone or only waits for its parent to hear so.
func startOf(pid int) string {
	s, err := process.Read(pid)
	if err != nil || s.Ended() {
		return ""
	}
	return s.Start
}

func readSmall(pid int, file string) string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		return "" // it has ended, or is another user's
	}
	return string(b)
}

// earlier finds a helper of somebody else that still waits in this mount; one that is only about to end is given
// the time to. It is looked for once.
func (p *prober) earlier() (h held, found bool) {
	if !p.searched {
		p.searched = true
		tick := time.NewTicker(killWait / 20)
		defer tick.Stop()
		for range 20 {
			if p.held = heldOn(p.mount); len(p.held) == 0 {
				break
			}
			<-tick.C
		}
	}
	for len(p.held) > 0 && p.held[0].gone() {
		p.held = p.held[1:]
	}
	if len(p.held) == 0 {
		return held{}, false
	}
	return p.held[0], true
}
