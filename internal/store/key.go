package store

import (
	"errors"
	"fmt"
	"strings"
)

// MaxCreate and MaxKey bound what every store takes: S3 takes more in one request, but not more than this
// has been measured; 900 bytes leave room for a prefix in S3's 1024.
const (
	MaxCreate = 16 << 20
	MaxKey    = 900
	maxPart   = 200 // a file's name has at most 255 bytes
)

// ErrUse is a call that no store can answer: a mistake of the caller.
var ErrUse = errors.New("wrong use of a store")

// CheckKey refuses what a directory or a gateway in front of one would read as something else. A part that
// begins with a dot is the store's own.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("%w: key %q of %d bytes: expected 1 to %d", ErrUse, key, len(key), MaxKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part[0] == '.' || len(part) > maxPart || strings.ContainsFunc(part, odd) {
			return fmt.Errorf("%w: key %q: expected parts of 1 to %d of A-Z a-z 0-9 . _ - that do not begin with a dot",
				ErrUse, key, maxPart)
		}
	}
	return nil
}

func odd(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
}

// CheckCreate is CheckKey, and the size that Create takes.
func CheckCreate(key string, data []byte) error {
	if len(data) == 0 || len(data) > MaxCreate {
		return fmt.Errorf("%w: %q is to be created with %d bytes: expected 1 to %d", ErrUse, key, len(data), MaxCreate)
	}
	return CheckKey(key)
}

// CheckPut is CheckKey, and the size that Put takes.
func CheckPut(key string, size int64) error {
	if size <= 0 {
		return fmt.Errorf("%w: %q is to be written with %d bytes: expected at least 1", ErrUse, key, size)
	}
	return CheckKey(key)
}

// CheckGet is CheckKey, and the range that Get takes.
func CheckGet(key string, off, n int64) error {
	if off < 0 || n == 0 {
		return fmt.Errorf("%w: %d bytes of %q from %d: expected some bytes from 0 or later", ErrUse, n, key, off)
	}
	return CheckKey(key)
}
