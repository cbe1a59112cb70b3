package supervise

import (
	"os"
	"strconv"

	"github.com/interlock-run/interlock/internal/oom"
	"golang.org/x/sys/unix"
)

// memory is the kernel's count of kills for lack of memory where the agent runs, as the agent handed it
// over: when the agent itself is killed, nobody else can tell.
type memory struct {
	kills *os.File // nil: not known
	was   uint64
}

func (m *memory) follow(kills *os.File, was uint64) {
	m.forget()
	m.kills, m.was = kills, was
}

func (m *memory) forget() {
	if m.kills != nil {
		_ = m.kills.Close() // only read
	}
	m.kills = nil
}

// tell adds to an end by SIGKILL what is known of it; the count does not say who it was.
func (m *memory) tell(status unix.WaitStatus) string {
	if m.kills == nil || status.Signal() != unix.SIGKILL {
		return ""
	}
	now, err := oom.Read(m.kills)
	if err != nil || now <= m.was {
		return ""
	}
	return " (out of memory? the kernel killed " + strconv.FormatUint(now-m.was, 10) + " of this memory cgroup for lack of memory in the seconds before)"
}
