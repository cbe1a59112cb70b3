package snapshot

import (
	"encoding/binary"
	"fmt"
	"io"

	"filippo.io/age"
)

// Everything that is encrypted is closed here and opened in unseal.go: each manifest and each pack is one
// age file. What is in it is what an unencrypted repository stores, but that a pack ends with a skippable
// zstd frame which fills its last chunk: so every chunk of it is whole, and a reader that wants a part of a
// pack knows by arithmetic which bytes to ask for, without knowing the pack's size.

const (
	sealChunk = 64 << 10 // bytes that age encrypts together
	sealTag   = 16       // of each chunk
	sealNonce = 16       // between header and chunks

	skippable = 0x184d2a50
	packTags  = (packFull + sealChunk - 1) / sealChunk
)

// A seal is how the objects of an encrypted repository are made; nil where nothing is encrypted.
type seal struct {
	to   []age.Recipient
	head int64 // bytes before the first chunk, the same in every object: all have the same recipients
}

func newSeal(recipients []string) (*seal, error) {
	to, err := ParseRecipients(recipients)
	if err != nil {
		return nil, err
	}
	var n counting
	if _, err := age.Encrypt(&n, to...); err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	return &seal{to, int64(n)}, nil
}

type counting int64

func (n *counting) Write(p []byte) (int, error) {
	*n += counting(len(p))
	return len(p), nil
}

// sealed gives what encrypts into out, until it is closed; out stays open.
func (s *seal) sealed(out io.Writer) (io.WriteCloser, error) {
	if s == nil {
		return plainWriter{out}, nil
	}
	return age.Encrypt(out, s.to...)
}

// plainWriter passes bytes on as they are.
type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

// packSize is the memory that a pack of the writer's takes at most.
func (s *seal) packSize() int {
	if s == nil {
		return packFull
	}
	return int(s.head) + (packTags+1)*(sealChunk+sealTag)
}

// padding is what follows n bytes of frames.
func (s *seal) padding(n int64) []byte {
	rest := int(-n & (sealChunk - 1))
	if s == nil || rest == 0 {
		return nil
	}
	if rest < 8 { // of which the frame's own header takes 8
		rest += sealChunk
	}
	frame := make([]byte, rest)
	binary.LittleEndian.PutUint32(frame, skippable)
	binary.LittleEndian.PutUint32(frame[4:], uint32(rest-8))
	return frame
}

// place is where chunk n begins in the stored object.
func (s *seal) place(n int64) int64 { return s.head + n*(sealChunk+sealTag) }
