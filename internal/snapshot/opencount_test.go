package snapshot

import (
	"errors"
	"iter"
	"sync/atomic"
)

var errTest = errors.New("broken by the test")

// An openCount counts the files that are open.
type openCount struct {
	files []*testFile
	count atomic.Int64
}

func newOpenCount(files []*testFile) *openCount { return &openCount{files: files} }

func (o *openCount) items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range itemsOf(o.files) {
			if open := item.Open; open != nil {
				item.Open = func() (Content, error) {
					c, err := open()
					o.count.Add(1)
					return counted{c, o}, err
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

type counted struct {
	Content
	o *openCount
}

func (c counted) Close() error {
	c.o.count.Add(-1)
	return c.Content.Close()
}
