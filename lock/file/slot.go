package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A lock file is a head that never changes and three slots, each with one whole state behind a digest.
// An update goes into one slot and never into the newest one, nor into the newest one that is known to be
// on the disk. So a writer that is killed in the middle leaves the state before, and a power failure,
// which may tear every slot that was not yet on the disk, leaves the one that was.
const (
	headSize = 4096
	slotSize = 64 << 10
	slots    = 3
	fileSize = headSize + slots*slotSize
	head     = "interlock lock file, format 1\nEdit or remove it only while nothing holds it; the fencing token counts in it.\n"
	slotMark = "interlock-slot"
	markMax  = len(slotMark) + 1 + 2*sha256.Size + 1 + 10 + 1
)

// errTooLarge says that a record does not fit a slot.
var errTooLarge = errors.New("too large for a lock file")

// A state is what one slot says about the lock; the record's own bytes follow it.
type state struct {
	Seq     int64     `json:"seq"`     // of the update, over the life of the file
	Token   int64     `json:"token"`   // of the latest grant
	Version int64     `json:"version"` // Seq at which the record was written; 0: there is none
	Holder  string    `json:"holder"`  // of the latest grant; empty once released
	Node    string    `json:"node"`
	Granted time.Time `json:"granted"` // wall clock, for people
	Written time.Time `json:"written"` // the same, of the record
}

// encode makes the bytes of a slot, or fails if they do not fit.
func encode(s state, data []byte) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("state of the lock: %w", err)
	}
	body := append(append(text, '\n'), data...)
	slot := append(fmt.Appendf(nil, "%s %x %d\n", slotMark, sha256.Sum256(body), len(body)), body...)
	if len(slot) > slotSize {
		return nil, fmt.Errorf("the state record has %d bytes: %w: at most about %d fit; use fewer mounts under one lock", len(data), errTooLarge, slotSize-1024)
	}
	return slot, nil
}

// decode gives what a slot says, or false for one that was never written, or is torn.
func decode(slot []byte) (state, []byte, bool) {
	line, _, found := bytes.Cut(slot[:min(len(slot), markMax)], []byte{'\n'})
	var sum []byte
	var size int
	if n, err := fmt.Sscanf(string(line), slotMark+" %x %d", &sum, &size); !found || n != 2 || err != nil {
		return state{}, nil, false
	}
	rest := slot[len(line)+1:]
	if size < 0 || size > len(rest) {
		return state{}, nil, false
	}
	body := rest[:size]
	if is := sha256.Sum256(body); !bytes.Equal(is[:], sum) {
		return state{}, nil, false
	}
	text, data, found := bytes.Cut(body, []byte{'\n'})
	var s state
	if err := json.Unmarshal(text, &s); !found || err != nil || s.Seq <= 0 || s.Token < 0 {
		return state{}, nil, false
	}
	return s, data, true
}
