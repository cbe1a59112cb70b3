package snapshot

import (
	"fmt"
	"strconv"
	"strings"
)

// The keys of a repository.
const (
	configKey     = "interlock.json"
	recoverKey    = "RECOVER.txt"
	catalogPrefix = "catalog/"
	snapPrefix    = "snap/"
)

func catalogKey(number uint64) string { return fmt.Sprintf("%s%020d", catalogPrefix, number) }

// catalogNumber tells which catalog a key names; false for keys that are none of ours.
func catalogNumber(key string) (uint64, bool) {
	digits, found := strings.CutPrefix(key, catalogPrefix)
	if !found || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return n, err == nil && n > 0
}

// numbers of what is no pack
const (
	isManifest = -1
	isPackList = -2
)

// A snapKey is what a key below snap/ names: a pack, the manifest, or the list of packs.
func snapKey(key string) (Pack, bool) {
	rest, found := strings.CutPrefix(key, snapPrefix)
	owner, name, two := strings.Cut(rest, "/")
	id, err := ParseID(owner)
	if !found || !two || err != nil {
		return Pack{}, false
	}
	switch name {
	case "manifest.zst":
		return Pack{id, isManifest}, true
	case "packs.json":
		return Pack{id, isPackList}, true
	}
	digits, found := strings.CutSuffix(name, ".pack")
	n, err := packNumber(digits)
	return Pack{id, n}, found && err == nil
}
