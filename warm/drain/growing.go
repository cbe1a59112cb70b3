package drain

import (
	"io"
	"os"
	"sync"
)

// growing reads a file that another process appends to, up to its end, which somebody tells.
type growing struct {
	file *os.File
	at   int64
	more chan struct{} // there may be more

	once  sync.Once
	ended chan struct{} // closed: there will be no more
	err   error         // why, set before; nil: all is there
}

func newGrowing(f *os.File) *growing {
	return &growing{file: f, more: make(chan struct{}, 1), ended: make(chan struct{})}
}

// grown wakes the reader up. It never waits.
func (g *growing) grown() {
	select {
	case g.more <- struct{}{}:
	default:
	}
}

// end says that all is written, or that the rest is not worth reading.
func (g *growing) end(err error) {
	g.once.Do(func() {
		g.err = err
		close(g.ended)
	})
}

// Read waits for bytes that are not there yet. The place in the file is its own: that of the descriptor
// belongs to the process that writes.
func (g *growing) Read(p []byte) (int, error) {
	for {
		over := g.over()
		if over && g.err != nil {
			return 0, g.err
		}
		n, err := g.file.ReadAt(p, g.at)
		g.at += int64(n)
		if n > 0 {
			return n, nil
		}
		if err != io.EOF || over { // looked after the end was told
			return 0, err
		}
		select {
		case <-g.more:
		case <-g.ended:
		}
	}
}

func (g *growing) over() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}
