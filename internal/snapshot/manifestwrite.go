package snapshot

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

// A manifestWriter writes the lines of a manifest and keeps what the catalog must know of it. One
// goroutine uses it.
type manifestWriter struct {
	out     io.Writer
	hash    *blake3.Hasher
	enc     *zstd.Encoder
	line    []byte
	packs   packSet
	end     endLine
	bytes   int64 // of all files, holes too, or of the stream
	stream  bool  // the last entry is one
	raw     int64
	written int64
}

func newManifestWriter(out io.Writer, head Header) (*manifestWriter, error) {
	m := &manifestWriter{out: out, hash: blake3.New(), packs: packSet{}, end: endLine{End: true}}
	enc, err := zstd.NewWriter(stored{m}, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	m.enc = enc
	return m, m.marshal(head)
}

// stored is the compressed side of a manifestWriter.
type stored struct{ *manifestWriter }

func (s stored) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	_, _ = s.hash.Write(p[:n]) // a hash takes all there is
	s.written += int64(n)
	return n, err
}

func (m *manifestWriter) put() error {
	if len(m.line) > maxLine {
		return fmt.Errorf("manifest: a line of %d bytes, expected at most %d: too many extended attributes on one file", len(m.line), maxLine)
	}
	m.raw += int64(len(m.line))
	_, err := m.enc.Write(m.line)
	return err
}

func (m *manifestWriter) marshal(v any) (err error) {
	if m.line, err = marshalLine(m.line[:0], v); err != nil {
		return err
	}
	return m.put()
}

func (m *manifestWriter) entry(e *Entry) error {
	m.end.Entries++
	m.stream = e.Kind == Stream
	m.bytes += e.File.Size
	m.line = appendEntry(m.line[:0], e)
	return m.put()
}

func (m *manifestWriter) run(r *Run) error {
	m.end.Runs++
	if m.stream {
		m.bytes = r.At + r.Len
	}
	m.packs.add(r.Frame.Pack)
	m.line = appendRun(m.line[:0], r)
	return m.put()
}

type ownerLine struct {
	Owner ID     `json:"owner"`
	Packs string `json:"packs"`
}

// finish writes owners and end, and says what was written.
func (m *manifestWriter) finish() (Object, error) {
	if err := m.packs.full(); err != nil {
		return Object{}, err
	}
	for _, owner := range m.packs.owners() {
		if err := m.marshal(owner); err != nil {
			return Object{}, err
		}
	}
	if err := m.marshal(m.end); err != nil {
		return Object{}, err
	}
	if err := m.enc.Close(); err != nil {
		return Object{}, err
	}
	return Object{Size: m.written, Raw: m.raw, Sum: Sum(m.hash.Sum(nil)[:len(Sum{})])}, nil
}

// An Object is how the catalog knows a manifest.
type Object struct {
	Size int64 `json:"size"` // as stored
	Raw  int64 `json:"raw"`  // once decompressed
	Sum  Sum   `json:"sum"`  // of what is stored
}
