package dump

import (
	"errors"
	"sync"
	"time"

	"github.com/interlock-run/interlock/warm/drain"
)

// leaveAfter is how long what works on a disk that hangs may take to end.
const leaveAfter = 5 * time.Second

// apart does work that reads and writes the dump's folders. Where their disk hangs, so that the list's reader cannot
// even die, whoever touches a file there may sleep for as long: that is left behind, until this process ends.
func (d *dump) apart(work func() error) error {
	stuck, ended := make(chan error, 1), make(chan error, 1)
	d.Drain.Stuck = func(err error) { stuck <- err } // once: such a list is not tried again
	n := &notes{say: d.Note}
	d.Note = n.note
	go func() { ended <- work() }() // joined here, or by the end of the process
	select {
	case err := <-ended:
		select {
		case why := <-stuck:
			return also(err, why)
		default:
			return err
		}
	case why := <-stuck:
		late := time.NewTimer(leaveAfter)
		defer late.Stop()
		select {
		case err := <-ended:
			return also(err, why)
		case <-late.C:
			n.mute()
			return why
		}
	}
}

// also adds to the error of the work that a reader was left behind, where the work ended for another reason: whoever
// tidies up must know.
func also(err, why error) error {
	if err == nil || errors.Is(err, drain.ErrStuck) {
		return err
	}
	return errors.Join(err, why)
}

// notes passes on what an operator should know, until nobody listens any more.
type notes struct {
	mu    sync.Mutex
	muted bool
	say   func(string)
}

func (n *notes) note(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.muted {
		n.say(text)
	}
}

func (n *notes) mute() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.muted = true
}
