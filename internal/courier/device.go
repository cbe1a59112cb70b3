package courier

import (
	"context"
	"errors"
	"strings"

	"github.com/interlock-run/interlock/device"
	"github.com/interlock-run/interlock/internal/exit"
)

// A Device is what became of one.
type Device struct {
	Export string      `json:"export,omitempty"` // up, of nbd: where it is connected to, as address and port
	Rest   device.Rest `json:"rest,omitzero"`    // down
	Never  bool        `json:"never,omitempty"`  // up that failed: there is nothing to take down
}

// device carries out the step of a run with a block device. It needs no store, and gets none of its secrets.
func (w *courier) device(ctx context.Context, r Request) (Answer, error) {
	if r.Device == nil {
		return Answer{}, exit.Withf(exit.Internal, "courier %s: expected a device", r.Op)
	}
	s := *r.Device
	s.Env, s.Tell = w.ours(r), func(step string) { w.out.tell(Line{Step: step}) }
	var found Device
	var err error
	switch r.Op {
	case OpUp:
		if err = device.Up(ctx, s); err == nil {
			found.Export, err = device.Export(s)
		}
		found.Never = errors.Is(err, device.ErrNotBegun)
	case OpDown:
		found.Rest, err = device.Down(ctx, s)
	default:
		err = device.Cut(ctx, s)
	}
	return Answer{Device: &found}, err
}

// ours are the variables that a device's commands are given: who the holder is, and where they find what else
// they need.
func (w *courier) ours(r Request) (env []string) {
	for _, kv := range w.scrubbed(r) {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "INTERLOCK_") || name == "HOME" || strings.HasPrefix(name, "CEPH_") {
			env = append(env, kv)
		}
	}
	return env
}

// CheckDevice tells early why the device of a request would not come up.
func CheckDevice(r Request) error {
	if r.Device == nil {
		return errors.New("no device")
	}
	return device.Foresee(*r.Device)
}
