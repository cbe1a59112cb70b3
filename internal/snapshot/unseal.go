package snapshot

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// keysAtMost bounds the packs whose keys are remembered.
const keysAtMost = 1024

// A keyring opens what a seal has closed. It remembers the keys of packs, of which each is read in parts.
type keyring struct {
	ids []age.Identity
	mu  sync.Mutex
	of  map[Pack]cipher.AEAD
}

func newKeyring(ids []age.Identity) *keyring { return &keyring{ids: ids, of: map[Pack]cipher.AEAD{}} }

func (k *keyring) get(p Pack) cipher.AEAD {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.of[p]
}

func (k *keyring) put(p Pack, key cipher.AEAD) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.of) >= keysAtMost {
		clear(k.of) // they are read again; packs are asked for in order, so rarely
	}
	k.of[p] = key
}

// forget drops the keys of packs; there may be no keyring.
func (k *keyring) forget() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.of)
}

// opened gives the plain bytes of a whole object from those that are stored.
func (r *Repository) opened(stored io.Reader) (io.Reader, error) {
	switch {
	case r.seal == nil:
		return stored, nil
	case r.keys == nil:
		return nil, r.locked()
	}
	plain, err := age.Decrypt(stored, r.keys.ids...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err) // the identities are those of the recipients
	}
	return plain, nil
}

// openPack gives the plain bytes of a pack from off to end, and reads no more of it than the chunks that
// hold them, and once its header.
func (r *Repository) openPack(ctx context.Context, p Pack, off, end int64) (io.ReadCloser, error) {
	switch {
	case r.seal == nil:
		return r.store.Get(ctx, p.key(), off, end-off)
	case r.keys == nil:
		return nil, r.locked()
	}
	first, behind := off/sealChunk, (end+sealChunk-1)/sealChunk
	key := r.keys.get(p)
	if key == nil && first > 0 {
		var err error
		if key, err = r.readKey(ctx, p); err != nil {
			return nil, err
		}
	}
	from := r.seal.place(first)
	if key == nil {
		from = 0 // the header in the same request
	}
	body, err := r.store.Get(ctx, p.key(), from, r.seal.place(behind)-from)
	if err != nil {
		return nil, err
	}
	c := &chunkReader{body: body, key: key, index: uint64(first), left: end - first*sealChunk}
	if key == nil {
		c.key, err = r.packKey(p, body)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, c, off-first*sealChunk)
	}
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return c, nil
}

// readKey reads a pack's header alone.
func (r *Repository) readKey(ctx context.Context, p Pack) (cipher.AEAD, error) {
	body, err := r.store.Get(ctx, p.key(), 0, r.seal.head)
	if err != nil {
		return nil, err
	}
	key, err := r.packKey(p, body)
	return key, errors.Join(err, body.Close())
}

// packKey takes the header off body, and keeps the key that is in it.
func (r *Repository) packKey(p Pack, body io.Reader) (cipher.AEAD, error) {
	head := make([]byte, r.seal.head)
	if _, err := io.ReadFull(body, head); err != nil {
		return nil, short(err)
	}
	key, err := unwrap(head, r.keys.ids)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r.keys.put(p, key)
	return key, nil
}

// unwrap makes a payload's key out of header and nonce, which are all of head.
func unwrap(head []byte, ids []age.Identity) (cipher.AEAD, error) {
	text, nonce := head[:len(head)-sealNonce], head[len(head)-sealNonce:]
	header, err := age.ExtractHeader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if len(header) != len(text) {
		return nil, fmt.Errorf("header of %d bytes, expected %d", len(header), len(text))
	}
	file, err := age.DecryptHeader(header, ids...)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, file, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.New(key)
}

// A chunkReader opens chunk after chunk of an age file, from any one on. age's own readers begin at the
// first one, or ask for the last one too.
type chunkReader struct {
	body   io.ReadCloser
	key    cipher.AEAD
	index  uint64
	left   int64 // bytes to give
	stored []byte
	room   []byte
	plain  []byte // of room, not given yet
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if len(c.plain) == 0 && len(p) >= sealChunk && c.left >= sealChunk {
		plain, err := c.next(p[:0]) // a whole chunk, where it belongs
		c.left -= int64(len(plain))
		return len(plain), err
	}
	if len(c.plain) == 0 {
		if c.room == nil {
			c.room = make([]byte, 0, sealChunk)
		}
		var err error
		if c.plain, err = c.next(c.room); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.plain[:min(int64(len(c.plain)), c.left)])
	c.plain, c.left = c.plain[n:], c.left-int64(n)
	return n, nil
}

// next opens the next chunk into room.
func (c *chunkReader) next(room []byte) ([]byte, error) {
	if c.stored == nil {
		c.stored = make([]byte, sealChunk+sealTag)
	}
	if _, err := io.ReadFull(c.body, c.stored); err != nil {
		return nil, short(err)
	}
	var nonce [chacha20poly1305.NonceSize]byte
	binary.BigEndian.PutUint64(nonce[3:11], c.index)
	plain, err := c.key.Open(room, nonce[:], c.stored, nil)
	if err != nil {
		nonce[11] = 1 // the last chunk
		plain, err = c.key.Open(room, nonce[:], c.stored, nil)
	}
	if err != nil {
		return nil, damaged("chunk %d of 64 KiB: not what was encrypted", c.index)
	}
	c.index++
	return plain, nil
}

func (c *chunkReader) Close() error { return c.body.Close() }

// short: an end that comes too early is never a good one.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
