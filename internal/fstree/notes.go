package fstree

import (
	"fmt"
	"sort"
	"strings"
	"sync"
)

// A NoteKind says what was not kept or not restored.
type NoteKind string

// Kinds of notes.
const (
	NoteSocket  NoteKind = "socket skipped"
	NoteMount   NoteKind = "other mount skipped"
	NoteUnknown NoteKind = "unknown file type skipped"
	NoteXattr   NoteKind = "extended attribute not kept"
	NoteFlags   NoteKind = "file flags not kept"
	NoteOwner   NoteKind = "owner not restored"
	NoteSetID   NoteKind = "set-id bits not restored"
	NoteDevice  NoteKind = "device not restored"
	NoteLost    NoteKind = "extended attribute not restored"
	NoteRoot    NoteKind = "owner, mode and times of the directory itself not restored"
)

// A Note is one thing that a copy lacks.
type Note struct {
	Kind   NoteKind
	Path   string
	Detail string
}

// String is the note as one line.
func (n Note) String() string {
	if n.Detail == "" {
		return fmt.Sprintf("%s: %q", n.Kind, n.Path)
	}
	return fmt.Sprintf("%s: %q: %s", n.Kind, n.Path, n.Detail)
}

// A Tally counts notes and keeps the first of each kind. Its zero value is ready; Add is an Options.Note.
type Tally struct {
	mu    sync.Mutex
	count map[NoteKind]int
	first map[NoteKind]Note
}

// Add counts a note.
func (t *Tally) Add(n Note) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count, t.first = map[NoteKind]int{}, map[NoteKind]Note{}
	}
	if t.count[n.Kind]++; t.count[n.Kind] == 1 {
		t.first[n.Kind] = n
	}
}

// Count is how many there were of a kind.
func (t *Tally) Count(k NoteKind) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count[k]
}

// String is one line for the log, empty if nothing was noted.
func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	for k, n := range t.first {
		parts = append(parts, fmt.Sprintf("%d x %s", t.count[k], n))
	}
	sort.Strings(parts)
	return strings.Join(parts, "; ")
}
