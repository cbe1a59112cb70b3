package snapshot

import (
	"bytes"
	"fmt"
)

// A batch is up to one frame's worth of bytes of consecutive entries, with the lines that belong between
// them: what is read and hashed in one go by one worker.
type batch struct {
	pieces []piece
	buf    *buffer // nil while there is no data
	used   int
	done   chan error // receives once when hashed
}

// piecesAtMost bounds a batch of entries without data.
const piecesAtMost = 2048

// A piece is a line to write, or a range of one file, or both.
type piece struct {
	entry *Entry   // begins here
	run   *Run     // taken over from the parent as it is
	src   *source  // where to read; nil for what is in buf already
	file  FileInfo // of the data
	kind  Kind
	at    int64
	data  []byte // a part of buf; nil for a line alone
	old   []oldChunk
	found []chunkState
}

// An oldChunk is what the parent has of a chunk; n is 0 for nothing.
type oldChunk struct {
	sum   Sum
	n     int64
	frame Frame
	skip  int64
}

// A chunkState says what became of a chunk.
type chunkState struct {
	sum  Sum
	kind chunkKind
}

type chunkKind uint8

const (
	fresh chunkKind = iota // must be stored
	same                   // the parent has it
	zero                   // is not stored
)

// chunk gives the bytes of the i-th chunk.
func (p *piece) chunk(i int) []byte {
	size := int(p.file.Chunk)
	return p.data[i*size : min((i+1)*size, len(p.data))]
}

func (p *piece) chunks() int { return int((int64(len(p.data)) + p.file.Chunk - 1) / p.file.Chunk) }

// work reads and hashes all pieces.
func (b *batch) work() error {
	for i := range b.pieces {
		if err := b.pieces[i].work(); err != nil {
			return err
		}
	}
	return nil
}

func (p *piece) work() error {
	if p.data == nil {
		return nil
	}
	if p.src != nil {
		if err := p.src.read(p.data, p.at); err != nil {
			return err
		}
		if err := p.src.release(); err != nil {
			return fmt.Errorf("%.200q: %w", p.src.path, err)
		}
	}
	p.found = make([]chunkState, p.chunks())
	for i := range p.found {
		p.found[i] = p.judge(i)
	}
	return nil
}

func (p *piece) judge(i int) chunkState {
	data := p.chunk(i)
	if p.kind == File && allZero(data) {
		return chunkState{kind: zero}
	}
	s := chunkState{sum: SumOf(data)}
	if i < len(p.old) && p.old[i].n == int64(len(data)) && p.old[i].sum == s.sum {
		s.kind = same
	}
	return s
}

// allZero compares data with itself, shifted by one: as fast as memory.
func allZero(data []byte) bool {
	return len(data) > 0 && data[0] == 0 && bytes.Equal(data[1:], data[:len(data)-1])
}

// fresh tells whether all of the batch must be stored.
func (b *batch) allFresh() bool {
	for i := range b.pieces {
		for _, c := range b.pieces[i].found {
			if c.kind != fresh {
				return false
			}
		}
	}
	return true
}
