package job

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
)

const (
	saveEvery = 500 * time.Millisecond
	// freshFor is how long a load that did not end can be gone on with. What was loaded before that may be gone
	// by itself.
	freshFor     = time.Hour
	mostProgress = 8 << 20
)

// progress is the file that tells how far a load into a server is, so that the next one goes on there if the
// process is killed. It goes by the server's own word for which run it is.
type progress struct{ name string }

// progressOf is of no use without a folder.
func progressOf(folder string, s memcached.Server) progress {
	if folder == "" {
		return progress{}
	}
	sum := sha256.Sum256([]byte(s.Network + " " + s.Address))
	return progress{filepath.Join(folder, fmt.Sprintf("warm-%x.progress", sum[:8]))}
}

// saved is what the file holds.
type saved struct {
	Interlock string        `json:"interlock"`
	Time      time.Time     `json:"time"`
	Progress  load.Progress `json:"progress"`
}

const savedKind = "warm-progress-1"

// read gives what a load before has left; nil where there is nothing to go on with.
func (p progress) read(note func(string)) *load.Progress {
	if p.name == "" {
		return nil
	}
	info, err := os.Lstat(p.name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > mostProgress {
		return nil
	}
	raw, err := os.ReadFile(p.name)
	var s saved
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	age := time.Since(s.Time)
	switch {
	case err != nil || s.Interlock != savedKind:
		note(fmt.Sprintf("%s is no progress of a load: it is loaded from the start", p.name))
		return nil
	case age > freshFor || age < -time.Minute:
		return nil
	}
	return &s.Progress
}

// keeping writes how far a load is until it ends. One that has ended has nothing to go on with.
func (p progress) keeping(far func() load.Progress, run func() (*load.Report, error)) (*load.Report, error) {
	if p.name == "" {
		return run()
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- p.write(far, stop) }()
	r, err := run()
	close(stop)
	kept := <-stopped
	if err == nil {
		kept = errors.Join(without(p.name), without(p.next())) // that, too: a load that was killed may have left it
	}
	if kept != nil {
		err = errors.Join(err, fmt.Errorf("progress of the load: %w", kept))
	}
	return r, err
}

// write writes several times a second, and once more at the end. A disk that is full does not end a load.
func (p progress) write(far func() load.Progress, stop <-chan struct{}) error {
	beat := time.NewTicker(saveEvery)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			_ = p.save(far()) // told at the end, if it is still so
		case <-stop:
			return p.save(far())
		}
	}
}

// save replaces the file. Nothing is synced: after a crash of the host the server is gone, too.
func (p progress) save(at load.Progress) error {
	if len(at.Parts) == 0 {
		return nil
	}
	raw, err := json.Marshal(saved{savedKind, time.Now(), at})
	if err != nil {
		return err
	}
	if err = os.WriteFile(p.next(), raw, 0o600); err == nil {
		err = os.Rename(p.next(), p.name)
	}
	if err != nil { // part of it may be there, on a disk that is full
		err = errors.Join(err, without(p.next()))
	}
	return err
}

func (p progress) next() string { return p.name + ".next" }

func without(name string) error {
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
