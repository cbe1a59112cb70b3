package courier

import (
	"context"
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// claim commits the token: from here on no earlier holder publishes anything. It makes no repository: a
// place that was mistyped would look like a first start.
func (w *courier) claim(ctx context.Context, r Request) (Answer, error) {
	var a Answer
	err := w.reach(ctx, r, func(ctx context.Context, s *session) error {
		c, err := s.repo.Claim(ctx, r.Who.holder())
		if errors.Is(err, snapshot.ErrFencedOff) {
			return fmt.Errorf("%w: if the lock service was rebuilt, raise lock.token_epoch", err)
		}
		if err != nil {
			return err
		}
		a.Catalog = c.Number
		a.Newest, _ = c.Newest()
		return nil
	})
	return a, err
}
