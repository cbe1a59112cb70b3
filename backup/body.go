package backup

import (
	"context"
	"fmt"
	"iter"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// A body is what one try stores.
type body struct {
	items  iter.Seq2[snapshot.Item, error]
	late   func() (iter.Seq2[snapshot.Item, error], error) // as of snapshot.WriteOptions; may be nil
	close  func() error                                    // ends processes, thaws what is frozen, frees all
	result func() Result
}

func nothingLacks() Result { return Result{} }

// open gets the source ready to be read. cancel ends the writing with a cause.
func (t *taking) open(ctx context.Context, cancel context.CancelCauseFunc) (*body, error) {
	switch t.src.Mode {
	case Command:
		if p, _ := presetOf(t.src.Preset); p.file {
			return t.openFile(ctx, p)
		}
		return t.openStream(ctx)
	case Cold:
		return t.openTree(tolerance{})
	case Live:
		return t.openTree(tolerance{moving: true})
	case Hook:
		return t.openHook(ctx, cancel)
	case Reflink:
		return t.openReflink(ctx, cancel)
	}
	return nil, fmt.Errorf("%w: mode %q", ErrSource, t.src.Mode)
}
