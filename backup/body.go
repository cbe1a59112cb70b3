package backup

import (
	"context"
	"fmt"
	"iter"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// A body is what one try stores.
type body struct {
	items iter.Seq2[snapshot.Item, error]
	late  func() (iter.Seq2[snapshot.Item, error], error) // may be nil
	// close frees everything: it ends processes and thaws what is frozen. done says that all was stored; then
	// an error of close says that what was stored is not whole.
	close  func(done bool) error
	result func() Result
}

func nothingLacks() Result { return Result{} }

// open gets the source ready to be read. cancel ends the writing with a cause.
func (t *taking) open(ctx context.Context) (*body, error) {
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
	}
	return nil, fmt.Errorf("%w: mode %q", ErrSource, t.src.Mode)
}
