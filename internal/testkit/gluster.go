package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// GlusterServer is one of GlusterFS's processes, which a test may stop, kill and start again.
type GlusterServer struct{ *daemon }

// Gluster is a real GlusterFS: one brick and a mount on a network of their own. Both are told what they are
// by files, as glusterd would: it refuses to run where nobody reaps what it starts.
type Gluster struct {
	*Island
	Brick, Client GlusterServer
	Store         string // the brick's directory, on a filesystem of its own of 32 MiB
	FuseMount
}

const glusterBrick = `volume posix
    type storage/posix
    option directory %[1]s/disk/brick
end-volume
volume locks
    type features/locks
    subvolumes posix
end-volume
volume brick
    type performance/io-threads
    subvolumes locks
end-volume
volume server
    type protocol/server
    option transport-type tcp
    option transport.address-family inet
    option transport.socket.bind-address %[2]s
    option transport.socket.listen-port 24007
    option auth.addr.brick.allow *
    option auth-path brick
    subvolumes brick
end-volume
`

const glusterClient = `volume client
    type protocol/client
    option transport-type tcp
    option transport.address-family inet
    option remote-host %[2]s
    option remote-port 24007
    option remote-subvolume brick
    option ping-timeout %[3]d
end-volume
volume behind
    type performance/write-behind
    subvolumes client
end-volume
`

// StartGluster mounts one that waits 2 s for a silent server. The package needs MainWithMounts. For processes
// that may hang in it see StartMooseFS.
func StartGluster(t testing.TB) *Gluster { t.Helper(); return PatientGluster(t, 2) }

// PatientGluster is StartGluster with another ping-timeout, in seconds; GlusterFS's own default is 42.
func PatientGluster(t testing.TB, ping int) *Gluster {
	t.Helper()
	for _, tool := range []string{"glusterfsd", "glusterfs"} {
		if _, err := exec.LookPath(tool); err != nil {
			Skip(t, "glusterfs", fmt.Sprintf("%s is not there (Debian: glusterfs-server, glusterfs-client): %v", tool, err))
		}
	}
	requireFuse(t)
	base := t.TempDir()
	f := &Gluster{Island: NewIsland(t), Store: filepath.Join(base, "disk", "brick"), FuseMount: FuseMount{Dir: filepath.Join(base, "mnt"), base: base}}
	f.Brick = f.server("brick", f.Listens("24007"), "glusterfsd", "-N", "-f", base+"/brick.vol", "-l", base+"/glusterfsd.log")
	f.Client = f.server("client", f.hasSpace, "glusterfs", "-N", "-f", base+"/client.vol", "-l", base+"/glusterfs.log", f.Dir)
	t.Cleanup(func() {
		f.Free()
		f.Client.Kill(t)
		f.Brick.Kill(t)
		_ = unix.Unmount(filepath.Join(base, "disk"), unix.MNT_DETACH) // it may never have been mounted
	})
	must(t, f.configure(ping))
	must(t, f.Brick.start(islandLimit))
	must(t, f.Client.start(islandLimit))
	recordRun(t, "glusterfs", "Debian")
	return f
}

func (f *Gluster) server(name string, ready func() error, args ...string) GlusterServer {
	return GlusterServer{&daemon{name: name, args: f.Argv(args...), log: filepath.Join(f.base, name+".out"), ready: ready}}
}

func (f *Gluster) configure(ping int) error {
	disk := filepath.Join(f.base, "disk")
	return errors.Join(
		os.Mkdir(disk, 0o755), os.Mkdir(f.Dir, 0o755),
		unix.Mount("gluster", disk, "tmpfs", 0, "size=32m"), os.Mkdir(f.Store, 0o755),
		os.WriteFile(filepath.Join(f.base, "brick.vol"), fmt.Appendf(nil, glusterBrick, f.base, islandAddress), 0o644),
		os.WriteFile(filepath.Join(f.base, "client.vol"), fmt.Appendf(nil, glusterClient, f.base, islandAddress, ping), 0o644),
	)
}
