package snapshot

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/interlock-run/interlock/internal/fstree"
)

// An Item is an entry to be stored, with a way to its bytes. Items come in the order of ComparePaths.
type Item struct {
	Entry Entry
	// Open gives the bytes of a File; it is not called for a file that the parent has unchanged. It and
	// what it returns are called from several goroutines.
	Open func() (Content, error)
	// Stream is the bytes of a Stream. An error of Read other than io.EOF publishes nothing.
	Stream io.Reader
}

// A Content is an open file. Close may say, by ErrChanged, that it was not at rest. A read that ends before
// the size of the entry fails with ErrChanged; who wants zeros instead gives them.
type Content interface {
	io.ReaderAt
	io.Closer
}

// An Extents is a Content that knows its holes: it gives its ranges of data, in order. Asked only of
// entries that are Sparse.
type Extents interface {
	Runs() iter.Seq2[fstree.Run, error]
}

// A source is the file behind the pieces of one entry: opened by who needs it first, closed by who is
// done with it last.
type source struct {
	path  string
	open  func() (Content, error)
	home  *openSources
	users atomic.Int64
	once  sync.Once
	from  Content
	err   error
}

// openSources are those that have not been closed, so that an early end leaves no file open.
type openSources struct {
	mu  sync.Mutex
	all map[*source]struct{}
}

func (o *openSources) add(item *Item) *source {
	s := &source{path: item.Entry.Path, open: item.Open, home: o}
	s.users.Store(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[s] = struct{}{}
	return s
}

func (o *openSources) remove(s *source) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, s)
}

// closeAll closes what an early end has left open, once all goroutines have been joined.
func (o *openSources) closeAll() error {
	var all error
	for s := range o.all {
		all = errors.Join(all, s.close())
	}
	return all
}

func (s *source) content() (Content, error) {
	s.once.Do(func() {
		if s.open == nil {
			s.err = fmt.Errorf("%w: file %.200q without a way to its bytes", ErrOrder, s.path)
			return
		}
		s.from, s.err = s.open()
	})
	return s.from, s.err
}

// read fills data from offset at.
func (s *source) read(data []byte, at int64) error {
	c, err := s.content()
	if err != nil {
		return err
	}
	n, err := c.ReadAt(data, at)
	if n == len(data) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%.200q ends at byte %d, expected %d or more: %w", s.path, at+int64(n), at+int64(len(data)), ErrChanged)
	}
	return fmt.Errorf("read %.200q at %d: %w", s.path, at, err)
}

// release closes the file once nobody uses it any more.
func (s *source) release() error {
	if s.users.Add(-1) > 0 {
		return nil
	}
	s.home.remove(s)
	return s.close()
}

func (s *source) close() error {
	s.once.Do(func() {})
	if s.from == nil {
		return nil
	}
	err := s.from.Close()
	s.from = nil
	return err
}
