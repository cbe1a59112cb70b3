//go:build bench

package bench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A crew is the contenders of one lock, in one or more processes.
type crew struct {
	sys     queueSystem
	members []*member
	events  chan event
	readers sync.WaitGroup
	holder  *member
}

// A member is one process of a crew.
type member struct {
	p    *testkit.Process
	in   *os.File
	base float64 // KiB before it had any contender
}

// An event is one line of a member.
type event struct {
	from *member
	word string
	at   time.Duration
	text string
}

func newCrew(t *testing.T, sys queueSystem) *crew {
	c := &crew{sys: sys, events: make(chan event, 1<<12)}
	t.Cleanup(c.readers.Wait) // after the processes are killed
	return c
}

// add starts contenders in at most four processes, or in one each.
func (c *crew) add(t *testing.T, contenders int) error {
	processes := min(contenders, 4)
	if c.sys.alone {
		processes = contenders
	}
	for i := range processes {
		if err := c.start(t, contenders*(i+1)/processes-contenders*i/processes); err != nil {
			return err
		}
	}
	return nil
}

func (c *crew) start(t *testing.T, n int) error {
	out, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return errors.Join(err, out.Close(), stdout.Close())
	}
	cmd := exec.Command(c.sys.program(n)[0], c.sys.program(n)[1:]...)
	cmd.Stdin, cmd.Stdout = stdin, stdout
	m := &member{in: in}
	m.p = testkit.StartCmd(t, cmd)
	t.Cleanup(func() { _ = in.Close() })
	c.members = append(c.members, m)
	c.readers.Go(func() { c.read(m, out) })
	if err := errors.Join(stdin.Close(), stdout.Close()); err != nil || c.sys.alone {
		return err
	}
	if _, err := c.await("ready"); err != nil {
		return err
	}
	if m.base, err = pss(m.p.Pid(), 0); err != nil {
		return err
	}
	return m.order("go")
}

// read turns lines into events until the process has ended. Nobody waits for who joined: the service tells.
func (c *crew) read(m *member, out *os.File) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		at := testkit.Monotonic()
		if c.sys.alone { // etcdctl: the key, once it holds the lock
			if n == 0 {
				c.events <- event{from: m, word: "granted", at: at}
			}
			continue
		}
		word, text, _ := strings.Cut(lines.Text(), " ")
		if word == "joined" {
			continue
		}
		e := event{from: m, word: word, text: text}
		f := strings.Fields(text)
		if len(f) > 0 {
			ns, err := strconv.ParseInt(f[len(f)-1], 10, 64)
			if err == nil {
				e.at = time.Duration(ns)
			}
		}
		c.events <- e
	}
}

func (m *member) order(word string) error {
	_, err := fmt.Fprintln(m.in, word)
	return err
}

// await takes events until one of each wanted kind has come.
func (c *crew) await(words ...string) (map[string]event, error) {
	got := map[string]event{}
	timer := time.NewTimer(2 * patience)
	defer timer.Stop()
	for len(got) < len(words) {
		select {
		case e := <-c.events:
			switch e.word {
			case "failed":
				return nil, fmt.Errorf("contender %s", e.text)
			case "granted":
				c.holder = e.from
			}
			got[e.word] = e
		case <-timer.C:
			return nil, fmt.Errorf("only %v of %v within %v", got, words, 2*patience)
		}
	}
	return got, nil
}

// marks are the events that a grant shows.
func (c *crew) marks() []string {
	if c.sys.leases {
		return []string{"granted", "leased"}
	}
	return []string{"granted"}
}

// A handover is one release, from right before it was sent.
type handover struct{ granted, leased float64 } // ms

func (c *crew) handOver() (handover, error) {
	var at time.Duration
	words := c.marks()
	if c.sys.alone {
		at = testkit.Monotonic()
		if err := syscall.Kill(c.holder.p.Pid(), syscall.SIGTERM); err != nil {
			return handover{}, err
		}
	} else {
		words = append(words, "released")
		if err := c.holder.order("release"); err != nil {
			return handover{}, err
		}
	}
	old := c.holder
	got, err := c.await(words...)
	if err != nil {
		return handover{}, err
	}
	if c.sys.alone {
		return handover{granted: millis(got["granted"].at - at)}, exited(old.p)
	}
	at = got["released"].at
	return handover{millis(got["granted"].at - at), millis(got["leased"].at - at)}, nil
}

// rejoin puts as many into the queue as have left it.
func (c *crew) rejoin(t *testing.T, released *member) error {
	if c.sys.alone {
		return c.start(t, 1)
	}
	return released.order("rejoin")
}

// beats are the heartbeats so far.
func (c *crew) beats() (float64, error) {
	if c.sys.alone {
		return 0, nil
	}
	if err := c.holder.order("beats"); err != nil {
		return 0, err
	}
	got, err := c.await("beats")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(got["beats"].text, 64)
}

// memory is what contenders take, in KiB, without what their processes took before they had any.
func (c *crew) memory(of []*member) (float64, error) {
	sum := 0.0
	for _, m := range of {
		kib, err := pss(m.p.Pid(), 0)
		if err != nil {
			return 0, err
		}
		sum += kib - m.base
	}
	return sum, nil
}

// footing says what memory counts from.
func (c *crew) footing() string {
	if c.sys.alone {
		return c.sys.name + ": each contender is a process, all of it counted"
	}
	return fmt.Sprintf("%s: contenders share %d processes, of %.1f MiB before they had any, not counted", c.sys.name, len(c.members), c.members[0].base/1024)
}

// work is the processor time that all members have used.
func (c *crew) work() time.Duration {
	sum := time.Duration(0)
	for _, m := range c.members {
		sum += threadsTime(m.p.Pid())
	}
	return sum
}
