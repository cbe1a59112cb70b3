package snapshot

import (
	"encoding/hex"
	"fmt"

	"github.com/zeebo/blake3"
)

// hashName is how interlock.json calls the hash.
const hashName = "blake3-128"

// A Sum is the first 16 bytes of BLAKE3.
type Sum [16]byte

// SumOf hashes data.
func SumOf(data []byte) Sum {
	full := blake3.Sum256(data)
	return Sum(full[:16])
}

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// MarshalText is the form in catalogs: 32 hexadecimal digits.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads that form and no other.
func (s *Sum) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(s)) {
		return fmt.Errorf("hash %.40q: expected %d hexadecimal digits", text, hex.EncodedLen(len(s)))
	}
	_, err := hex.Decode(s[:], text)
	return err
}
