package backup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Mode says how the data is brought to rest.
type Mode string

// Modes.
const (
	Cold    Mode = "cold"    // the service is stopped: a file that moves fails the backup
	Command Mode = "command" // what a command writes: a dump
	Hook    Mode = "hook"    // a freeze command holds the service while its files are copied
	Reflink Mode = "reflink" // the same only while the files are cloned
	Live    Mode = "live"    // the files of a running service as they are: by explicit word only
)

// Modes lists all modes.
func Modes() []Mode { return []Mode{Command, Hook, Cold, Reflink, Live} }

// A Process is how the commands of a backup run.
type Process struct {
	Dir        string              // working directory; empty: ours
	Env        []string            // the whole environment; it holds no secret of the store
	Credential *syscall.Credential // nil: ours
}

// A Source is what is backed up.
type Source struct {
	Mode    Mode
	Preset  string   // of Command: see Presets
	Data    string   // the service's data directory; absolute
	Exclude []string // patterns as of fstree.Options; of trees
	Exec    []string // Command: the program and its arguments; with a preset its further arguments
	Freeze  []string // Hook, and Reflink of a running service
	Run     Process
	Store   string        // where the store lies if it is a directory: told to the freeze command
	Limit   time.Duration // for freezing, and again for thawing; 0: a minute
	Staging string        // Reflink: the folder that holds the clones' one; empty: .interlock beside the data, or in its root where that is a mount
}

const defaultLimit = time.Minute

// tree tells whether files are copied, rather than the output of a command.
func (m Mode) tree() bool { return m != Command }

// Check tells what is wrong with a source, before anything is done.
func (s *Source) Check() error {
	if !slices.Contains(Modes(), s.Mode) {
		return fmt.Errorf("%w: mode %q: expected one of %s", ErrSource, s.Mode, joined(Modes()))
	}
	if s.Data != "" && !filepath.IsAbs(s.Data) || s.Data == "" && s.Mode.tree() {
		return fmt.Errorf("%w: data directory %q: expected an absolute path", ErrSource, s.Data)
	}
	if s.Limit < 0 {
		return fmt.Errorf("%w: %s for freezing and thawing: expected a positive time", ErrSource, s.Limit)
	}
	return s.checkCommands()
}

func (s *Source) checkCommands() error {
	_, known := presetOf(s.Preset)
	switch {
	case s.Preset != "" && s.Mode != Command:
		return fmt.Errorf("%w: preset %q with mode %s: presets are commands: say mode command", ErrSource, s.Preset, s.Mode)
	case s.Preset != "" && !known:
		return fmt.Errorf("%w: preset %q: expected one of %s", ErrSource, s.Preset, strings.Join(Presets(), ", "))
	case s.Mode == Command && s.Preset == "" && len(s.Exec) == 0:
		return fmt.Errorf("%w: mode command without a command: give exec or a preset", ErrSource)
	case s.Mode != Command && len(s.Exec) > 0:
		return fmt.Errorf("%w: a command to run (%q) with mode %s: expected it with mode command", ErrSource, s.Exec[0], s.Mode)
	case s.Mode == Hook && len(s.Freeze) == 0:
		return fmt.Errorf("%w: mode hook without a freeze command", ErrSource)
	case s.Mode != Hook && s.Mode != Reflink && len(s.Freeze) > 0:
		return fmt.Errorf("%w: a freeze command with mode %s: expected it with hook or reflink", ErrSource, s.Mode)
	}
	return nil
}

func (s *Source) limit() time.Duration {
	if s.Limit > 0 {
		return s.Limit
	}
	return defaultLimit
}

func joined(modes []Mode) string {
	var names []string
	for _, m := range modes {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}
