package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/internal/durable"
)

// state is what is on record about an attachment: whether a device that is attached is so by us.
type state struct {
	dir  *durable.Dir
	name string
	rec  record
}

// A record is void after a reboot: then nothing is attached.
type record struct {
	V      int    `json:"v"`
	Boot   string `json:"boot"`
	Device string `json:"device"`
	Begun  bool   `json:"begun"`          // an attachment of ours was begun, and may have succeeded
	Mark   string `json:"mark,omitempty"` // of the attachment, as the kernel shows it; empty: it has not ended
	Lock   string `json:"lock,omitempty"` // whose it is
	Token  string `json:"token,omitempty"`
	Number string `json:"number,omitempty"` // major:minor
	Export string `json:"export,omitempty"` // of nbd: the address that it is connected to
	Loose  bool   `json:"loose,omitempty"`  // the last attachment ended without an answer to all that was asked
}

func (r record) tenure() Tenure { return Tenure{r.Lock, r.Token} }

const (
	recordVersion = 1
	stateFile     = "device.json"
)

// begin opens the state for one Up or Down; another one is refused meanwhile.
func begin(s Spec) (*work, error) {
	s = s.withDefaults()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	dir, err := stateDir(s)
	if err != nil {
		return nil, err
	}
	w := &work{Spec: s, state: &state{dir: dir, name: stateFile}}
	err = dir.Lock()
	if err == nil {
		err = w.state.load(s.Path)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return w, nil
}

// stateDir is one of the device's own below State, so that runs of other devices are not kept waiting.
func stateDir(s Spec) (*durable.Dir, error) {
	above, err := durable.OpenOrMake(s.State)
	if err != nil {
		return nil, err
	}
	dir, err := durable.OpenOrMake(filepath.Join(s.State, s.Name))
	return dir, errors.Join(err, above.Close())
}

func (w *work) close() error { return w.state.dir.Close() }

func (st *state) load(device string) error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	fresh := record{V: recordVersion, Boot: strings.TrimSpace(string(boot)), Device: device}
	raw, err := st.dir.Read(st.name)
	if errors.Is(err, durable.ErrAbsent) {
		st.rec = fresh
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &st.rec); err != nil || st.rec.V != recordVersion {
		return fmt.Errorf("state %s/%s is of no version known here (%d, %v): see whether %s is attached, then remove it", st.dir.Path(), st.name, st.rec.V, err, device)
	}
	if st.rec.Boot != fresh.Boot {
		st.rec = fresh
	}
	if st.rec.Device != device && st.rec.Begun {
		return fmt.Errorf("state %s/%s is of %s, which is still attached: expected %s: take that one down first", st.dir.Path(), st.name, st.rec.Device, device)
	}
	st.rec.Device = device
	return nil
}

// begin is on record before the attachment: what is attached after it is ours.
func (st *state) begin(t Tenure) error {
	st.rec = record{V: st.rec.V, Boot: st.rec.Boot, Device: st.rec.Device, Begun: true, Lock: t.Lock, Token: t.Token}
	return st.store()
}

func (st *state) attached(mark, export string) error {
	st.rec.Mark, st.rec.Export = mark, export
	if node, err := (&work{Spec: Spec{Path: st.rec.Device}}).node(); err == nil && node != "" {
		number, err := sys(node, "dev")
		if err != nil {
			return err
		}
		st.rec.Number = number
	}
	return st.store()
}

// detached notes that nothing is attached any more; loose: what was asked of the device last was not answered.
func (st *state) detached(loose bool) error {
	if !st.rec.Begun {
		return nil
	}
	st.rec = record{V: st.rec.V, Boot: st.rec.Boot, Device: st.rec.Device, Loose: loose}
	return st.store()
}

func (st *state) store() error {
	raw, err := json.Marshal(st.rec)
	if err != nil {
		return err
	}
	return st.dir.Replace(st.name, append(raw, '\n'))
}
