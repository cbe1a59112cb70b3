package file

import "context"

// A lane runs file work one piece at a time, each in a goroutine, so that a caller can leave when its
// context ends though the disk hangs. The goroutine is joined by the next piece of work, which cannot
// begin before it: work that was left behind may still land, but never after a later one.
type lane chan struct{}

func newLane() lane { return make(lane, 1) }

// do runs work in the lane. The second result tells that its outcome is not known: the context ended.
func do[T any](ctx context.Context, l lane, work func() T) (T, error) {
	var none T
	if err := l.take(ctx); err != nil {
		return none, err
	}
	done := make(chan T, 1)
	go func() {
		defer l.give()
		done <- work()
	}()
	select {
	case got := <-done:
		return got, nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// take waits until the lane is free, or the context ended.
func (l lane) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give frees the lane that take took.
func (l lane) give() { <-l }
