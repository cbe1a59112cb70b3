package mountcheck

import "strings"

// Network tells whether writes to a mount end on another machine, as far as the mount table can tell.
// In doubt (an unknown FUSE filesystem) it says yes: the answer decides whether late writes are feared.
// A local name that hides a network (device mapper over iSCSI, loop over NFS) is not seen.
func Network(fstype, source, options string) bool {
	switch fstype {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "lustre", "9p", "virtiofs", "afs", "coda", "ncpfs",
		"glusterfs", "beegfs", "beegfs_nodev", "gfs2", "ocfs2", "orangefs", "pvfs2", "gpfs", "davfs", "vboxsf", "fuse":
		return true
	}
	if sub, ok := strings.CutPrefix(fstype, "fuse."); ok {
		return sub != "lxcfs" && sub != "fuse-overlayfs" && sub != "portal" && sub != "gvfsd-fuse"
	}
	for _, o := range splitCommas(options) {
		if o == "_netdev" {
			return true
		}
	}
	for _, prefix := range []string{"/dev/nbd", "/dev/rbd", "/dev/drbd", "/dev/etherd/"} {
		if strings.HasPrefix(source, prefix) {
			return true
		}
	}
	return false
}
