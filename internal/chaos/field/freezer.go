package field

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// v1 is the freezer of the old cgroup tree, where there is one: a task frozen in it does not even die of
// SIGKILL before it is thawed.
const v1 = "/sys/fs/cgroup/freezer"

// HasFreezer tells whether Freeze works here.
func HasFreezer() bool {
	_, err := os.Stat(filepath.Join(v1, "tasks"))
	return err == nil
}

// freezers are the groups that were made; they go at the end, for those in them may live on.
type freezers struct {
	mu   sync.Mutex
	made []string
}

// Freeze moves processes to a group of their own in the v1 freezer and freezes it; thaw undoes the latter.
func (f *Field) Freeze(tasks ...Task) (thaw func() error, err error) {
	f.own.freezers.mu.Lock()
	defer f.own.freezers.mu.Unlock()
	dir := filepath.Join(v1, fmt.Sprintf("interlock-%d-chaos%d", os.Getpid(), len(f.own.freezers.made))+filepath.Base(f.own.shared))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	f.own.freezers.made = append(f.own.freezers.made, dir)
	set := func(state string) error {
		return os.WriteFile(filepath.Join(dir, "freezer.state"), []byte(state), 0o644)
	}
	for _, t := range tasks {
		if !t.Alive() {
			continue
		}
		err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(t.PID)), 0o644)
		if err != nil && t.Alive() {
			return func() error { return set("THAWED") }, err
		}
	}
	return func() error { return set("THAWED") }, set("FROZEN")
}

// remove takes the groups away, after all in them have ended.
func (f *freezers) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, dir := range f.made {
		errs = append(errs, os.Remove(dir))
	}
	return errors.Join(errs...)
}
