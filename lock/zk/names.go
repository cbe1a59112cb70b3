package zk

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A member is a child of the lock's node that contends: its name ends in a marker and a sequence number.
type member struct {
	name string
	seq  int32
}

// markers end the names' first part: Curator, go-zookeeper and we write lock-, kazoo writes __lock__.
func markers() []string { return []string{"lock-", "__lock__"} }

// parseMember recognises a contender. The number has ten digits, or is a minus and at least nine: the
// service prints its 32 bit counter with %010d also after it has wrapped.
func parseMember(name string) (member, bool) {
	if isTwin(name) {
		return member{}, false
	}
	for _, mark := range markers() {
		i := strings.LastIndex(name, mark)
		if i < 0 {
			continue
		}
		digits := name[i+len(mark):]
		n, err := strconv.ParseInt(digits, 10, 32)
		if err == nil && len(digits) >= 10 && digits[0] != '+' {
			return member{name, int32(n)}, true
		}
	}
	return member{}, false
}

// queue returns the contenders among children, in order. The counter wraps, so the order is by the
// signed distance from ref (one of them), not by the number itself.
func queue(children []string, ref int32) []member {
	var all []member
	for _, c := range children {
		if m, ok := parseMember(c); ok {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.seq-ref, b.seq-ref), cmp.Compare(a.name, b.name))
	})
	return all
}

// reference picks a number to order by when there is no own key: any one does, as long as all of them
// lie within half of the counter's range.
func reference(children []string) int32 {
	for _, c := range children {
		if m, ok := parseMember(c); ok {
			return m.seq
		}
	}
	return 0
}

// position finds a name in a queue; -1 if it is not there.
func position(q []member, name string) int {
	return slices.IndexFunc(q, func(m member) bool { return m.name == name })
}

// sequential tells a name that ends as a contender's does, whatever recipe it follows.
func sequential(name string) bool {
	const digits = 10
	if len(name) < digits {
		return false
	}
	_, err := strconv.ParseInt(name[len(name)-digits:], 10, 64)
	return err == nil
}

// A twin is a second key beside ours, for kazoo: its Lock counts only names with __lock__ right before the
// number, and Curator and go-zookeeper only those with lock- there, so that no single name serves all. Key
// and twin are made in one transaction and have neighbouring numbers, so nobody comes between. Curator sorts
// a name without lock- by its letters: z comes behind all numbers, and is never ahead of anybody there.
const twinStart, twinMark = "z_", "__lock__"

func isTwin(name string) bool {
	return strings.HasPrefix(name, twinStart) && strings.Contains(name, twinMark)
}

const keyStart, keyMark = "_c_", "-lock-"

// twinPrefix belongs to a key's prefix as freshPrefix makes it.
func twinPrefix(prefix string) string {
	return twinStart + strings.TrimSuffix(strings.TrimPrefix(prefix, keyStart), keyMark) + twinMark
}

// twin is the name of a key's twin.
func (m member) twin() string {
	prefix, _, _ := strings.Cut(m.name, keyMark)
	return twinPrefix(prefix+keyMark) + fmt.Sprintf("%010d", m.seq+1)
}

// freshPrefix begins the name of one create, and of no other ever: it tells our own node when the
// create's reply was lost. Twelve random bytes and their seal, which tells others that an interlock made it.
func freshPrefix() string {
	id := make([]byte, 12, 16)
	rand.Read(id) // never fails
	return keyStart + hex.EncodeToString(append(id, seal(id)...)) + keyMark
}

// seal ends the random part of each name of ours. It keeps nobody out; it saves every contender that comes
// a read for each key ahead of it.
func seal(id []byte) []byte {
	sum := sha256.Sum256(append([]byte(valuePrefix), id...))
	return sum[:4]
}

// sealed tells a name that an interlock made. One without a seal may be of an older interlock: its value
// tells then.
func (m member) sealed() bool {
	text, _, found := strings.Cut(strings.TrimPrefix(m.name, keyStart), keyMark)
	id, err := hex.DecodeString(text)
	return found && err == nil && len(id) == 16 && bytes.Equal(seal(id[:12]), id[12:])
}
