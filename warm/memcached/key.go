package memcached

import (
	"encoding/base64"
	"fmt"
	"math"
)

// Limits of the text protocol.
const (
	MaxKey       = 250     // bytes on the wire
	MaxBinaryKey = 186     // bytes of a key that must be sent as base64: 248 on the wire
	maxRelative  = 2592000 // seconds; a larger number is a point in time
)

// Plain tells whether a key can be sent as it is. High bytes can, blanks and control characters cannot.
func Plain(key []byte) bool {
	for _, b := range key {
		if b <= ' ' || b == 0x7f {
			return false
		}
	}
	return true
}

// CheckKey tells whether the text protocol reaches a key at all.
func CheckKey(key []byte) error {
	limit := MaxKey
	if !Plain(key) {
		limit = MaxBinaryKey
	}
	if len(key) == 0 || len(key) > limit {
		return fmt.Errorf("%w: %d bytes, expected 1 to %d", ErrKey, len(key), limit)
	}
	return nil
}

// appendKey appends a checked key, and the flag that it needs.
func appendKey(line, key []byte) (out []byte, flag string) {
	if Plain(key) {
		return append(line, key...), ""
	}
	return base64.StdEncoding.AppendEncode(line, key), " b"
}

// An Expiry is an item's end as the server takes it. The zero Expiry is none: the item stays.
type Expiry struct{ wire int64 }

// ExpireAt gives the Expiry of an item that ends at a point in time, both by the server's clock. It is sent as
// that point: what is left would be counted from a tick that may be a second old. ErrExpired: that is now or
// past. What lies beyond the server's 32 bits ends with them.
func ExpireAt(now, at int64) (Expiry, error) {
	left := at - now
	switch {
	case left < 1:
		return Expiry{}, ErrExpired
	case at <= maxRelative: // its clock stands in January 1970
		return Expiry{left}, nil
	}
	return Expiry{min(at, math.MaxInt32)}, nil
}
