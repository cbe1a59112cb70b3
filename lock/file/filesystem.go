package file

import (
	"golang.org/x/sys/unix"
)

// shared are the filesystems whose files several hosts may see, by statfs magic: each host would grant
// the lock by itself, or by rules that are not the kernel's. FUSE and virtiofs may be shared, which is
// enough. Values are of linux/magic.h and of the filesystems' own headers.
func shared(magic uint32) (name string, is bool) {
	names := map[uint32]string{
		0x6969: "NFS", 0x517B: "SMB", 0xFF534D42: "CIFS", 0xFE534D42: "SMB2",
		0x65735546: "FUSE or virtiofs", 0x01021997: "9p", 0x00C36400: "Ceph", 0x0BD00BD0: "Lustre",
		0x47504653: "GPFS", 0x7461636F: "OCFS2", 0x01161970: "GFS2", 0x5346414F: "AFS",
		0x6B414653: "AFS", 0x73757245: "Coda", 0x20030528: "OrangeFS", 0x19830326: "BeeGFS",
		0xAAD7AAEA: "PanFS", 0xBEEFDEAD: "StorNext", 0x61636673: "ACFS", 0xA501FCF5: "VxFS",
		0x564C: "NCP", 0x013111A8: "IBRIX", 0x786F4256: "VirtualBox shared folders",
		0xBACBACBC: "VMware shared folders", 0x7C7C6673: "Parallels shared folders",
	}
	name, is = names[magic]
	return name, is
}

// Filesystems that are local and yet deserve a word from doctor.
const (
	overlayMagic = 0x794C7630
	tmpfsMagic   = 0x01021994
	ramfsMagic   = 0x858458F6
)

// checkFilesystem refuses a directory whose filesystem other hosts may see.
func checkFilesystem(path, dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return classify(path, "ask for the filesystem of "+dir, err)
	}
	return refuseShared(path, uint32(st.Type))
}

// checkOpenFilesystem asks the open file itself: a file can be a mount of its own.
func checkOpenFilesystem(path string, fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return classify(path, "ask for its filesystem", err)
	}
	return refuseShared(path, uint32(st.Type))
}

func refuseShared(path string, magic uint32) error {
	if name, is := shared(magic); is {
		return unusable(path, "it lies on "+name+", which several hosts may see: expected a disk of this host alone; name a local path, or use zk:// or etcd:// for a lock between hosts")
	}
	return nil
}
