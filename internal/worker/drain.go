package worker

import (
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/mountcheck/drain/flush"
)

// syncAll syncs the filesystem of each path, one after the other: give each mount that may hang a worker of
// its own. Write errors that somebody was told of before are not told again: a nil error means that
// nothing is left to be written, not that everything was.
func syncAll(paths []string) (Response, error) {
	if len(paths) == 0 {
		return Response{}, fmt.Errorf("%w: %s: expected at least one path", errRequest, OpDrain)
	}
	var answer Response
	var failures []error
	for _, path := range paths {
		s := Synced{Path: path}
		if err := flush.Sync(path); err != nil {
			err = fmt.Errorf("drain: %w%s", err, durable.Hint(err))
			s.Error = err.Error()
			failures = append(failures, err)
		}
		answer.Synced = append(answer.Synced, s)
	}
	return answer, errors.Join(failures...)
}
