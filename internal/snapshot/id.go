package snapshot

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-run/interlock/fence"
)

// An ID names a snapshot and the folder of all that its writer stores: start time, token, random part.
type ID string

const idTime = "20060102T150405Z"

var idForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-(0|[1-9][0-9]{0,18})-[0-9a-f]{16}$`)

// NewID makes an ID for a snapshot that starts now under token; 0 is no token.
func NewID(start time.Time, token fence.Token) ID {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return ID(fmt.Sprintf("%s-%d-%s", start.UTC().Format(idTime), uint64(token), hex.EncodeToString(random[:])))
}

// ParseID checks the form, so that an ID is always safe as a part of a key.
func ParseID(s string) (ID, error) {
	if !idForm.MatchString(s) {
		return "", fmt.Errorf("snapshot id %.60q: expected TIME-TOKEN-RANDOM, as in 20260102T030405Z-7-0123456789abcdef", s)
	}
	if _, err := strconv.ParseUint(strings.Split(s, "-")[1], 10, 63); err != nil {
		return "", fmt.Errorf("snapshot id %.60q: token: %w", s, err)
	}
	return ID(s), nil
}

// Token is the token of the writer; the form was checked when the ID was made.
func (id ID) Token() fence.Token {
	_, rest, _ := strings.Cut(string(id), "-")
	number, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0
	}
	return fence.Token(n)
}

func (id ID) folder() string      { return snapPrefix + string(id) + "/" }
func (id ID) manifestKey() string { return id.folder() + "manifest.zst" }
func (id ID) packsKey() string    { return id.folder() + "packs.json" }

// UnmarshalText refuses an ID of another form wherever one is read.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// A Pack names one pack: its owner and its number there.
type Pack struct {
	Owner  ID
	Number int
}

func (p Pack) String() string { return fmt.Sprintf("%s/%05d", p.Owner, p.Number) }

func (p Pack) key() string { return fmt.Sprintf("%s%05d.pack", p.Owner.folder(), p.Number) }

func (p Pack) compare(o Pack) int {
	if c := strings.Compare(string(p.Owner), string(o.Owner)); c != 0 {
		return c
	}
	return p.Number - o.Number
}

// parsePack reads OWNER/NUMBER.
func parsePack(s string) (Pack, error) {
	owner, number, found := strings.Cut(s, "/")
	n, err := packNumber(number)
	if !found || err != nil {
		return Pack{}, damaged("pack %.80q: expected OWNER/NUMBER", s)
	}
	id, err := ParseID(owner)
	if err != nil {
		return Pack{}, damaged("pack: %v", err)
	}
	return Pack{id, n}, nil
}

// packNumber reads five digits, or more without a zero in front.
func packNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n >= maxPacks || fmt.Sprintf("%05d", n) != s {
		return 0, damaged("pack number %.20q: expected five digits, or more without a zero in front", s)
	}
	return int(n), nil
}
