package mountcheck

import "slices"

// class is a kind of storage by how its mounts look, where the type alone does not tell it.
type class struct {
	name    string
	types   []string
	sources []string // globs, one of which must match; none: any
	unsafe  []string // options that take from a service what it relies on, refused unless they are required
	why     string
}

// The reasons.
const (
	whyNFS    = "a soft mount answers a slow server with an error, which a database takes for a broken disk, and local locks do not keep others out"
	whyLocks  = "its locks do not keep other nodes out"
	whyCeph   = "once it was fenced off (blocklisted) it connects again by itself, and drops what it had not written without an error"
	whyErrors = "it writes on after an error in its own structures; mount it with errors=remount-ro, or set that with tune2fs -e remount-ro"
)

// classes: the first one that matches gives a mount its rules.
func classes() []class {
	unsafeNFS := []string{"soft", "softerr", "nolock", "local_lock=all", "local_lock=flock", "local_lock=posix"}
	return []class{
		{"efs", []string{"nfs4"}, []string{"127.0.0.1:*", "localhost:*", "fs-*.efs.*:*"}, unsafeNFS, whyNFS},
		{"nfs", []string{"nfs", "nfs4"}, nil, unsafeNFS, whyNFS},
		{"glusterfs", []string{"fuse.glusterfs", "glusterfs"}, nil, nil, ""},
		{"moosefs", []string{"fuse.mfs", "moosefs"}, nil, nil, ""},
		{"moosefs", []string{"fuse"}, []string{"mfs#*"}, nil, ""}, // MooseFS 3
		{"cephfs", []string{"ceph", "fuse.ceph", "fuse.ceph-fuse"}, nil, []string{"recover_session=clean"}, whyCeph},
		{"lustre", []string{"lustre"}, nil, []string{"localflock"}, whyLocks},
		{"cifs", []string{"cifs", "smb3"}, nil, []string{"nobrl"}, whyLocks},
		{"sshfs", []string{"fuse.sshfs"}, nil, nil, ""},
		{"ext4", []string{"ext4"}, nil, []string{"errors=continue"}, whyErrors},
	}
}

func (c class) has(m Mount) bool {
	return slices.Contains(c.types, m.FSType) &&
		(len(c.sources) == 0 || slices.ContainsFunc(c.sources, func(g string) bool { return glob(g, m.Source) }))
}

// fstypeMatches takes the name of a class, or a glob over the type.
func fstypeMatches(want string, m Mount) bool {
	return glob(want, m.FSType) || slices.ContainsFunc(classes(), func(c class) bool { return c.name == want && c.has(m) })
}

// unsafe names an option that nobody asked for and no service is safe with, and says why; empty if none is
// in force.
func (e Expect) unsafe(m Mount, all []string) (option, why string) {
	if !e.named {
		return "", ""
	}
	for _, c := range classes() {
		if !c.has(m) {
			continue
		}
		for _, o := range c.unsafe {
			if has(all, o) && !hasOption(e.Require, o) {
				return o, c.why
			}
		}
		break
	}
	if has(all, untimed) && !has(e.Require, untimed) {
		return untimed, "its readers and writers wait for ever when the server is gone, and nothing frees them; attach it with nbd-client -timeout SECONDS"
	}
	return "", ""
}
