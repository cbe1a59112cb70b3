package databases

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
)

// look is how often the process table is read.
const look = 20 * time.Millisecond

// lookout reads the process table for all watches of this test process: one each would take more of the
// processor than the databases. It is the one variable here, as a test process has one process table.
var lookout = &tower{watches: map[*watch]bool{}}

type tower struct {
	once    sync.Once
	mu      sync.Mutex
	watches map[*watch]bool
}

// A process is one beyond doubt: a number may be given out again.
type process struct {
	pid   int
	start string
}

func (o *tower) add(w *watch) {
	o.mu.Lock()
	o.watches[w] = true
	o.mu.Unlock()
	o.once.Do(func() { go o.run() }) // until the test process ends
}

// remove returns once nothing is noted any more.
func (o *tower) remove(w *watch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.watches, w)
}

func (o *tower) run() {
	for range time.Tick(look) {
		o.mu.Lock()
		if len(o.watches) > 0 {
			at := scene.Now()
			found := table()
			for w := range o.watches {
				w.note(at, found[w.data])
			}
		}
		o.mu.Unlock()
	}
}

// table lists the live processes by working directory. A zombie has none, and a process may end at any
// moment.
func table() map[string][]process {
	found := map[string][]process{}
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
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		cwd, err := os.Readlink("/proc/" + name + "/cwd")
		if err != nil || cwd == "/" {
			continue
		}
		if p, ok := identify(name); ok {
			found[cwd] = append(found[cwd], p)
		}
	}
	return found
}

func identify(name string) (process, bool) {
	stat, err := os.ReadFile("/proc/" + name + "/stat")
	if err != nil {
		return process{}, false
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	pid, err := strconv.Atoi(name)
	if err != nil || len(f) < 20 {
		return process{}, false
	}
	return process{pid, f[19]}, true
}
