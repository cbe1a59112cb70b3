// Package store keeps the objects of a snapshot repository in a directory or in S3, behind one contract.
//
// Promise: nothing half-written is ever visible under its key; Create has one winner; an object that is
// absent is told apart from a store that does not answer, refuses us, or is not there. Non-promise: it
// knows nothing of snapshots, tokens or fencing, and orders nothing between two keys. Called by
// internal/snapshot and by the commands; storetest is the suite that both drivers pass against the real
// thing.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// What a store may say. Everything else is wrapped in one of them where a caller can do something about it.
var (
	ErrNotFound    = errors.New("no such object")                       // the repository's place answered, and has no such key
	ErrExists      = errors.New("the object exists already")            // Create only
	ErrAmbiguous   = errors.New("no answer, it may have been done")     // Create only: read back before a second try
	ErrNoPlace     = errors.New("no such bucket or directory")          // never taken for an empty repository
	ErrCredentials = errors.New("credentials refused")                  // exit 77
	ErrFull        = errors.New("no space left in the store")           // nothing was published
	ErrUnreachable = errors.New("the store does not answer")            // exit 69
	ErrUnusable    = errors.New("the store cannot be used so")          // read-only, or something else lies there; exit 69
	ErrUnfenced    = errors.New("the store ignores conditional writes") // found by Probe, or said by the store itself
	ErrDamaged     = errors.New("not what was written")                 // shorter than asked for, or its checksum is wrong; exit 65
)

// An Object is one entry of a list.
type Object struct {
	Key  string
	Size int64     // bytes
	Time time.Time // last change, by the store's clock; for people alone
}

// A Store is one repository's place. Keys are relative to it; CheckKey says what they may be. No key may be
// a folder of another one. All methods may be called at once from many goroutines; each bounds its own
// tries and gives up when ctx ends, as far as the kernel lets a call on a directory go.
type Store interface {
	// Create makes an object, in one piece and only if its key is absent: ErrExists otherwise. After
	// ErrAmbiguous the caller reads the object back; one that is absent then may still come later, so the
	// second try is a Create of the same key too. data is at most MaxCreate long and not empty.
	Create(ctx context.Context, key string, data []byte) error
	// Put makes an object under a key that nobody else writes: a second try after an error writes the
	// same bytes again. size is in bytes and not zero; body is read from its start at each try.
	Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error
	// Get reads n bytes from offset off, or all of the rest with n < 0; n is not 0. ErrDamaged: the object
	// is shorter than that. A body that ends early or stalls is an error of its Read, never a short object.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// List gives the objects whose keys begin with prefix and sort after `after`, in byte order. An error
	// ends it.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
	// Delete removes an object; one that is absent is no error.
	Delete(ctx context.Context, key string) error
}
