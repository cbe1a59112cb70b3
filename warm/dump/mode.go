package dump

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/warm/memcached"
)

// What callers branch on, besides the errors of memcached and drain.
var (
	ErrVersion   = errors.New("this version cannot be dumped")
	ErrRunning   = errors.New("another dump or load of this server runs")
	ErrUnsettled = errors.New("an earlier listing may still hang in the server")
	ErrRestarted = errors.New("the server restarted meanwhile: its items are gone")
)

// A Listing is how keys are listed.
type Listing string

// Listings. Hash misses nothing, and holds a lock of the server while its reader stalls; All may miss some
// of the hottest, which move while the list is made: it is made twice, and the lists are merged.
const (
	Auto Listing = "auto"
	Hash Listing = "hash"
	All  Listing = "all"
)

// Choose gives the listing for a version, with a warning for the operator or none. local says that the list
// is written to memory or a local disk, which never makes its reader wait for long.
func Choose(v memcached.Version, want Listing, local bool) (l Listing, warning string, err error) {
	switch {
	case v.Before(1, 6, 10):
		return "", "", fmt.Errorf("%w: memcached %s has no meta commands in their present form: expected 1.6.10 or later", ErrVersion, v)
	case want != Auto && want != Hash && want != All && want != "":
		return "", "", fmt.Errorf("listing %q: expected auto, hash or all", want)
	case !v.Before(1, 6, 19) && v.Before(1, 6, 44):
		warning = fmt.Sprintf("memcached %s can crash when the reader of a listing stalls: upgrade to 1.6.44", v)
	}
	switch {
	case want == Hash || want == All:
		return want, warning, nil
	case !local && v.Before(1, 6, 44):
		return All, "the folder for the list is on a network: listing all, which may miss some of the hottest items", nil
	}
	return Hash, warning, nil
}

// local tells whether a folder is on a filesystem of this host.
func local(folder string) (bool, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(folder, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("folder for the list of keys %s: %w", folder, err)
		}
		break
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, 0xff534d42, 0xfe534d42, // CIFS, SMB2
		unix.FUSE_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, 0x01161970, unix.OCFS2_SUPER_MAGIC: // GFS2
		return false, nil
	}
	return true, nil
}
