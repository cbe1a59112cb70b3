// Package fence holds the vocabulary of fencing: the token that orders holders, and the claim that a
// holder leaves on the storage it protects.
//
// Promise: tokens of one lock are strictly increasing over its holders and never restart, and a claim
// with a higher token is never overwritten by a lower one. Non-promise: a token protects nothing by
// itself; the storage, or whoever commits there, must compare it. Called by lock (order of holders),
// internal/worker (claim file) and internal/lifecycle.
package fence

import (
	"errors"
	"fmt"
	"strconv"
)

// A Token orders the holders of one lock: a later holder always has a larger one. The low RawBits bits
// are the number that the lock service gave (ZooKeeper czxid, etcd create revision, a counter in the
// lock file), the bits above them the epoch that an operator counts up after the lock service was
// rebuilt. It fits 63 bits, so that languages without unsigned integers can compare it.
type Token uint64

// RawBits is the number of low bits that hold the lock service's own number: 55 leave 8 for the epoch.
// A czxid is a 32 bit server epoch over a 32 bit counter, so 2^23 elections fit.
const RawBits = 55

// MaxEpoch is the largest token epoch.
const MaxEpoch = 1<<(63-RawBits) - 1

// ErrTokenRange says that a raw number or an epoch does not fit a Token.
var ErrTokenRange = errors.New("does not fit a fencing token")

// NewToken joins an epoch and the lock service's raw number. It fails with ErrTokenRange when either
// is outside its bits; zero is no token.
func NewToken(epoch int, raw int64) (Token, error) {
	if epoch < 0 || epoch > MaxEpoch {
		return 0, fmt.Errorf("token epoch %d %w: expected 0 to %d", epoch, ErrTokenRange, MaxEpoch)
	}
	if raw <= 0 || raw >= 1<<RawBits {
		return 0, fmt.Errorf("number %d of the lock service %w: expected 1 to 2^%d-1", raw, ErrTokenRange, RawBits)
	}
	return Token(uint64(epoch)<<RawBits | uint64(raw)), nil
}

// Raw is the lock service's own number, which guards of transactions compare.
func (t Token) Raw() int64 { return int64(t & (1<<RawBits - 1)) }

// Epoch is the operator's epoch.
func (t Token) Epoch() int { return int(t >> RawBits) }

// String is the decimal form, as in INTERLOCK_TOKEN, the claim file and the state record.
func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }

// ParseToken reads the decimal form.
func ParseToken(s string) (Token, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("fencing token %q: expected a decimal number from 1 to 2^63-1", s)
	}
	return Token(n), nil
}
