package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

// lines reads the decompressed lines of a manifest, within the limits of the format, and compares the
// whole with what the catalog says of it.
type lines struct {
	body io.ReadCloser
	hash *blake3.Hasher
	dec  *zstd.Decoder
	buf  *bufio.Reader
	long []byte
	want Object
	raw  int64
	size int64
}

// newLines reads what body stores; opened, which may be nil, decrypts it.
func newLines(body io.ReadCloser, want Object, opened func(io.Reader) (io.Reader, error)) (*lines, error) {
	l := &lines{body: body, hash: blake3.New(), want: want}
	var plain io.Reader = hashed{l}
	if opened != nil {
		var err error
		if plain, err = opened(plain); err != nil {
			return nil, errors.Join(l.failed(err, 0), body.Close())
		}
	}
	dec, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	l.dec, l.buf = dec, bufio.NewReaderSize(dec, 64<<10)
	return l, nil
}

// newTextLines reads lines that are stored as they are. Who reads them closes body.
func newTextLines(body io.ReadCloser, want Object) *lines {
	l := &lines{body: body, hash: blake3.New(), want: want}
	l.buf = bufio.NewReaderSize(hashed{l}, 64<<10)
	return l
}

// hashed is the compressed side of lines. It keeps an error of the store apart from damage.
type hashed struct{ *lines }

// A readError is one of the store's, not of what was read.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

func (h hashed) Read(p []byte) (int, error) {
	n, err := h.body.Read(p)
	_, _ = h.hash.Write(p[:n]) // a hash takes all there is
	if h.size += int64(n); h.size > h.want.Size {
		return n, damaged("more than %d bytes", h.want.Size)
	}
	if err != nil && err != io.EOF {
		return n, readError{err}
	}
	return n, err
}

// marked marks the errors of what it reads.
type marked struct{ io.Reader }

func (m marked) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}

// errorOf says of an error in reading what was compressed or encrypted whose it is.
func errorOf(err error) error {
	if e, ok := errors.AsType[readError](err); ok {
		return e.error
	}
	if errors.Is(err, ErrIdentity) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// next gives a line without its end; it is valid until the next call. io.EOF ends the stream.
func (l *lines) next() ([]byte, error) {
	line, err := l.buf.ReadSlice('\n')
	for l.long = l.long[:0]; errors.Is(err, bufio.ErrBufferFull); line, err = l.buf.ReadSlice('\n') {
		if len(l.long)+len(line) > maxLine {
			return nil, damaged("a line of more than %d bytes", maxLine)
		}
		l.long = append(l.long, line...)
	}
	if len(l.long) > 0 {
		l.long = append(l.long, line...)
		line = l.long
	}
	if l.raw += int64(len(line)); l.raw > l.want.Raw {
		return nil, damaged("more than %d bytes decompressed", l.want.Raw)
	}
	if err != nil {
		return nil, l.failed(err, len(line))
	}
	return line[:len(line)-1], nil
}

func (l *lines) failed(err error, rest int) error {
	if err == io.EOF && rest == 0 {
		return io.EOF
	}
	if err == io.EOF {
		return damaged("cut off in the middle of a line")
	}
	return errorOf(err)
}

// check compares size and hash at the end.
func (l *lines) check() error {
	if got := Sum(l.hash.Sum(nil)[:len(Sum{})]); got != l.want.Sum || l.size != l.want.Size || l.raw != l.want.Raw {
		return damaged("%d bytes, %d decompressed, with hash %s: the catalog says %d, %d, %s",
			l.size, l.raw, got, l.want.Size, l.want.Raw, l.want.Sum)
	}
	return nil
}

func (l *lines) close() error {
	l.dec.Close()
	return l.body.Close()
}
