package fence

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/interlock-run/interlock/internal/durable"
)

// ClaimFile is the name of the claim in the state directory.
const ClaimFile = "claim.json"

// ClaimVersion is the one format of a claim.
const ClaimVersion = 1

// Errors that callers branch on.
var (
	ErrClaimCorrupt = errors.New("claim unusable")                // there, but not to be understood: never taken as absent
	ErrDeposed      = errors.New("a later holder has claimed it") // a higher token there
	ErrOtherLock    = errors.New("claimed under another lock")
)

// A Claim says who may write to the storage that it lies on. Since is wall clock, for people.
type Claim struct {
	V      int       `json:"v"`
	Token  Token     `json:"token,string"` // a string: 63 bits do not survive every JSON reader
	Holder string    `json:"holder"`
	Node   string    `json:"node"`
	BootID string    `json:"boot_id"`
	Lock   string    `json:"lock"` // without credentials
	Since  time.Time `json:"since"`
}

// ParseClaim reads the content of a claim file. Whatever is not wholly understood is ErrClaimCorrupt.
func ParseClaim(data []byte) (Claim, error) {
	var c Claim
	if err := json.Unmarshal(data, &c); err != nil {
		return Claim{}, fmt.Errorf("%w: %d bytes that are no claim: %v", ErrClaimCorrupt, len(data), err)
	}
	if err := c.Check(); err != nil {
		return Claim{}, fmt.Errorf("%w: %w", ErrClaimCorrupt, err)
	}
	return c, nil
}

// Check tells what a claim lacks.
func (c Claim) Check() error {
	switch {
	case c.V != ClaimVersion:
		return fmt.Errorf("format v=%d: expected %d: use the version of interlock that wrote it", c.V, ClaimVersion)
	case c.Token == 0 || c.Token > 1<<63-1:
		return fmt.Errorf("token %d: expected 1 to 2^63-1", uint64(c.Token))
	case c.Holder == "" || c.Lock == "":
		return fmt.Errorf("holder %q, lock %q: expected both", c.Holder, c.Lock)
	case !utf8.ValidString(c.Holder + c.Node + c.BootID + c.Lock):
		return fmt.Errorf("holder %q, node %q, lock %q: expected UTF-8", c.Holder, c.Node, c.Lock)
	}
	return nil
}

// ReadClaim returns the claim in a state directory, false when there is none: a real ENOENT of the file,
// or of the state directory in a parent that is there. Any other trouble is an error, as is a claim that
// cannot be understood (ErrClaimCorrupt).
func ReadClaim(stateDir string) (Claim, bool, error) {
	d, err := durable.Open(stateDir)
	if errors.Is(err, durable.ErrAbsent) {
		return Claim{}, false, nil
	}
	if err != nil {
		return Claim{}, false, fmt.Errorf("read claim: %w", err)
	}
	c, found, err := readClaim(d)
	return c, found, errors.Join(err, d.Close())
}

func readClaim(d *durable.Dir) (Claim, bool, error) {
	path := filepath.Join(d.Path(), ClaimFile)
	data, err := d.Read(ClaimFile)
	switch {
	case errors.Is(err, durable.ErrAbsent):
		return Claim{}, false, nil
	case errors.Is(err, durable.ErrOdd):
		return Claim{}, false, fmt.Errorf("%w: %w: %s", ErrClaimCorrupt, err, wayOut)
	case err != nil:
		return Claim{}, false, fmt.Errorf("read claim: %w", err)
	}
	c, err := ParseClaim(data)
	if err != nil {
		return Claim{}, false, fmt.Errorf("claim %q: %w: %s", path, err, wayOut)
	}
	return c, true, nil
}

const wayOut = "make sure that nobody runs on this data, then remove the file"
