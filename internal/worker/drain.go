package worker

import (
	"errors"
	"fmt"
	"os"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// drain syncs the filesystem of each path, one after the other: give each mount that may hang a worker of
// its own. Write errors that somebody was told of before are not told again: a nil error means that
// nothing is left to be written, not that everything was.
func drain(paths []string) (Response, error) {
	if len(paths) == 0 {
		return Response{}, fmt.Errorf("%w: %s: expected at least one path", errRequest, OpDrain)
	}
	var answer Response
	var failures []error
	for _, path := range paths {
		s := Synced{Path: path}
		if err := syncfs(path); err != nil {
			s.Error = err.Error()
			failures = append(failures, err)
		}
		answer.Synced = append(answer.Synced, s)
	}
	return answer, errors.Join(failures...)
}

func syncfs(path string) error {
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("drain: %w%s", err, durable.Hint(err))
	}
	err = unix.Syncfs(int(f.Fd()))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("drain: %w%s", &os.PathError{Op: "syncfs", Path: path, Err: err}, durable.Hint(err))
	}
	return nil
}
