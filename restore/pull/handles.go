package pull

import (
	"errors"
	"sync"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/fstree"
)

// A file is one that is being restored. It is finished once nothing of it is left to be done.
type file struct {
	entry fstree.Entry

	// Under handles.mu.
	w       *fstree.Writer // nil: not open
	opening bool
	users   int
	left    int // wants, pieces, and the reader of the manifest: what is still to come
}

// handles bounds how many files are open: one whose bytes come from many packs may wait long for them, and
// is opened again when they come.
type handles struct {
	target *fstree.Target
	most   int

	mu     sync.Mutex
	opened *sync.Cond
	open   int                // also those that are being opened
	live   map[*file]struct{} // open
}

func newHandles(target *fstree.Target) *handles {
	h := &handles{target: target, most: mostOpen, live: map[*file]struct{}{}}
	h.opened = sync.NewCond(&h.mu)
	return h
}

// mostOpen is well below the usual limit of 1024 descriptors, with requests and the tree's own beside it.
const mostOpen = 256

// take opens a file, or joins those who have it open.
func (h *handles) take(f *file) (*fstree.Writer, error) {
	h.mu.Lock()
	for f.opening {
		h.opened.Wait()
	}
	if f.w != nil {
		f.users++
		h.mu.Unlock()
		return f.w, nil
	}
	f.opening = true
	victim := h.victim()
	h.open++
	h.mu.Unlock()
	var err error
	if victim != nil {
		err = victim.Close()
	}
	var w *fstree.Writer
	if err == nil {
		w, err = h.target.Create(f.entry)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f.opening = false
	h.opened.Broadcast()
	if err != nil {
		h.open--
		return nil, err
	}
	f.w, f.users = w, f.users+1
	h.live[f] = struct{}{}
	return w, nil
}

// victim takes one that nobody uses off the open ones, if there are too many.
func (h *handles) victim() *fstree.Writer {
	if h.open < h.most {
		return nil
	}
	for f := range h.live {
		if f.users == 0 {
			return h.drop(f)
		}
	}
	return nil
}

// drop takes a file off the open ones; nil if it is none.
func (h *handles) drop(f *file) *fstree.Writer {
	w := f.w
	if w != nil {
		f.w = nil
		delete(h.live, f)
		h.open--
	}
	return w
}

// hold says that n more things of a file are to come.
func (h *handles) hold(f *file, n int) {
	h.mu.Lock()
	f.left += n
	h.mu.Unlock()
}

// done takes one thing off a file, and says whether it was taken for that; the last one finishes it.
func (h *handles) done(f *file, taken bool) error {
	h.mu.Lock()
	f.left--
	if taken {
		f.users--
	}
	if f.left > 0 {
		h.mu.Unlock()
		return nil
	}
	w := h.drop(f)
	h.mu.Unlock()
	if w == nil {
		var err error
		if w, err = h.target.Create(f.entry); err != nil {
			return err
		}
	}
	err := w.Finish()
	breakpoint.At("pull:file")
	return err
}

// close gives up what is open after an error, once nobody is at work any more.
func (h *handles) close() error {
	var all error
	for f := range h.live {
		all = errors.Join(all, h.drop(f).Close())
	}
	return all
}
