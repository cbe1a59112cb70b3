package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/field"
)

func canStick(e *Env) bool { return e.Field.HasSwamp() && holds(e) && len(e.Target.Payloads) > 0 }

// stick lets the payload stand in uninterruptible sleep, and ends the run. Its death cannot be proven as
// long as it stands there: the lock must stay held, whoever waits for it. Alone, for beside another fault the
// lock may go for another reason.
func stick(end unix.Signal) func(context.Context, *Env) (Heal, error) {
	return func(ctx context.Context, e *Env) (Heal, error) {
		before, err := e.Field.Last()
		if err != nil {
			return nil, err
		}
		release := e.Field.Stick()
		heal := func(context.Context) error {
			defer release()
			return e.held(before)
		}
		if err := field.Signal(unix.SIGUSR1, e.Target.Payloads...); err != nil {
			return heal, err
		}
		if !stuck(ctx, e) { // it ended just then: there is nothing to see
			release()
			return nil, nil
		}
		return heal, e.Target.Guard.Signal(end)
	}
}

// held notes it where somebody else has begun since.
func (e *Env) held(before field.Mark) error {
	now, err := e.Field.Last()
	if err == nil && now.Token != before.Token {
		e.Broken = fmt.Sprintf("token %d (%s) began while the payload of token %d (%s) was not proven dead: it stood in the kernel", now.Token, now.Host, before.Token, before.Host)
	}
	return err
}

// frozenOrphan freezes the payload so that not even SIGKILL is heard, and kills the guard: the agent takes
// over, cannot prove the death, and must keep the lock.
func frozenOrphan(ctx context.Context, e *Env) (Heal, error) {
	before, err := e.Field.Last()
	if err != nil {
		return nil, err
	}
	thaw, err := freezeV1(ctx, e)
	if err != nil || thaw == nil {
		return thaw, err
	}
	heal := func(ctx context.Context) error { return errors.Join(e.held(before), thaw(ctx)) }
	return heal, e.Target.Guard.Signal(unix.SIGKILL)
}

// stuck waits until a member stands in the kernel.
func stuck(ctx context.Context, e *Env) bool {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && ctx.Err() == nil; {
		if e.Field.Stuck() {
			return true
		}
		wait(ctx, 10*ms)
	}
	return false
}
