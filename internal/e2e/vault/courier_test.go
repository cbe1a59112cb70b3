package vault

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/store/storetest"
	"github.com/interlock-run/interlock/internal/testkit"
)

// couriers are the pids of a job's store workers: the gate goes on as one without an exec.
func couriers(j *scene.Job) (pids []int) {
	for _, pid := range testkit.Descendants(j.Pid()) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(line, []byte("interlock-courier")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// courier waits for the one that is at work.
func courier(t testing.TB, j *scene.Job) (pid int) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		all := couriers(j)
		if len(all) == 1 {
			pid = all[0]
		}
		return len(all) == 1, fmt.Sprintf("couriers %v of %s", all, j.Holder)
	})
	return pid
}

// A gate holds requests at the proxy until it is opened, and then has them carried out, whoever has gone.
type gate struct {
	reached chan struct{} // told when the first one is held
	open    chan struct{}
	once    sync.Once
	opened  sync.Once
	carried sync.WaitGroup
}

// hold makes the proxy hold the next n requests of a kind.
func (v *vault) hold(t testing.TB, n int, wanted func(*http.Request) bool) *gate {
	t.Helper()
	g := &gate{reached: make(chan struct{}, 1), open: make(chan struct{})}
	v.proxy.Next(n, wanted, func(p *storetest.Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
		g.carried.Add(1)
		defer g.carried.Done()
		g.once.Do(func() { g.reached <- struct{}{} })
		<-g.open
		defer func() {
			if err := recover(); err != nil && err != http.ErrAbortHandler { // the client has gone; the server was asked
				panic(err)
			}
		}()
		storetest.Pass(p, w, r.WithContext(context.WithoutCancel(r.Context())), body)
	})
	t.Cleanup(g.release)
	return g
}

// wait waits until a request is held.
func (g *gate) wait(t testing.TB) {
	t.Helper()
	testkit.Recv(t, limit, "a request at the proxy", g.reached)
}

// release lets all go on.
func (g *gate) release() { g.opened.Do(func() { close(g.open) }) }

// carryOut lets them go on, and waits until the server has answered each.
func (g *gate) carryOut() {
	g.release()
	g.carried.Wait()
}

func puts(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return storetest.Puts(r) && strings.Contains(r.URL.Path, part) }
}

func gets(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return storetest.Gets(r) && strings.Contains(r.URL.Path, part) }
}

// every is a schedule by which the first backup comes at once.
func every(interval string) scene.Option {
	return scene.Flags("--backup-schedule", interval, "--backup-mode", "live", "--backup-timeout", "40s", "--backup-keep-last", "3")
}

// gone waits until a process has ended, and gives how long that took.
func gone(t testing.TB, pid int) time.Duration {
	t.Helper()
	began := time.Now()
	testkit.Wait(t, limit, func() (bool, string) {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return os.IsNotExist(err), fmt.Sprintf("process %d is still there", pid)
	})
	return time.Since(began)
}
