package pull

import (
	"os"
	"syscall"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/restore"
)

// A Job is one restore: what, from where, into what.
type Job struct {
	Repo   *snapshot.Repository
	Target restore.Target // Token 0: without a lock; When is not used
	Choice Choice
	// Exclude are patterns of what in the data directory is neither restored nor removed.
	Exclude []string
	// Load are the commands of a stream: the first one reads it. Without them the preset's own, if it has some.
	Load []Command
	// Base is environment, user and messages of the preset's own commands.
	Base Command
	// Sentinels are paths without which the service does not start; nil: those of known databases.
	Sentinels []string
	// Verify: compare the whole tree with the manifest before it is called clean.
	Verify   bool
	Progress *snapshot.Progress // may be nil
	Note     func(fstree.Note)  // what could not be restored; may be nil
}

// A Command is a program of the user's or of a database. It leads a process group, which is killed when
// the context ends.
type Command struct {
	Argv   []string // never through a shell
	Env    []string // the whole of it: the caller scrubbed it of secrets
	Dir    string
	User   *syscall.Credential // nil: ours
	Output *os.File            // stdout and stderr; nil: our stderr
}

// A Result is what a restore did.
type Result struct {
	Entries int64  `json:"entries"`
	Files   int64  `json:"files"`
	Bytes   int64  `json:"bytes"`   // of files, written
	Kept    int64  `json:"kept"`    // of files: were there already
	Fetched int64  `json:"fetched"` // from the store
	Stream  bool   `json:"stream,omitempty"`
	Aside   string `json:"aside,omitempty"` // where KeepCopy put the data
	Notes   string `json:"notes,omitempty"` // what could not be restored, in one line
}
