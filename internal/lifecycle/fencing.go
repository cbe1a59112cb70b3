package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/lock"
)

// fenceOff is called by the tenure's goroutines in the hold-off, and reads nothing but the plan. It tells the
// agent who asks and whose node is meant, and whoever asks for the status what the agent does.
func (r *Runner) fenceOff(ctx context.Context, own fence.Token, o lock.Owed) error {
	r.seen.fence("since %s: switching off node %s of token %s", time.Now().UTC().Format(time.RFC3339), o.Node, o.Token)
	err := r.plan.Lock.Fence(ctx, []string{
		"INTERLOCK_TOKEN=" + own.String(),
		"INTERLOCK_HOLDER=" + r.plan.Lock.Options.Holder,
		"INTERLOCK_LOCK=" + r.plan.Lock.Name,
		"INTERLOCK_FENCE_NODE=" + o.Node,
		"INTERLOCK_FENCE_BOOT_ID=" + o.BootID,
		"INTERLOCK_FENCE_TOKEN=" + o.Token.String(),
		"INTERLOCK_FENCE_VOLUMES=" + strings.Join(o.Volumes, "\n"),
	}, o)
	switch {
	case ctx.Err() != nil:
		r.seen.fence("the hold-off was over before node %s was confirmed to be off", o.Node)
	case err != nil:
		r.seen.fence("node %s: %v: the hold-off is waited out", o.Node, err)
	default:
		r.seen.fence("node %s of token %s is confirmed to be off", o.Node, o.Token)
	}
	return err
}

// fence replaces the line about fencing; called by the tenure's goroutines.
func (s *shared) fence(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fencing = fmt.Sprintf(format, args...)
}
