package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// MooseServer is one of MooseFS's processes, which a test may stop, kill and start again.
type MooseServer struct{ *daemon }

// MooseFS is a real one: a master, one chunkserver and a mount on a network of their own.
type MooseFS struct {
	*Island
	Master, Chunks, Client MooseServer
	Dir                    string // where it is mounted
	base                   string
}

const mooseMaster = `WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = %[1]s/master
EXPORTS_FILENAME = %[1]s/mfsexports.cfg
TOPOLOGY_FILENAME = %[1]s/mfstopology.cfg
MATOCS_LISTEN_HOST = %[2]s
MATOCL_LISTEN_HOST = %[2]s
MATOML_LISTEN_HOST = %[2]s
LOCK_MEMORY = 0
REPLICATIONS_DELAY_INIT = 5
`

const mooseChunks = `WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = %[1]s/cs
HDD_CONF_FILENAME = %[1]s/mfshdd.cfg
MASTER_HOST = %[2]s
CSSERV_LISTEN_HOST = %[2]s
BIND_HOST = %[2]s
MASTER_RECONNECTION_DELAY = 1
HDD_LEAVE_SPACE_DEFAULT = 4MiB
`

// StartMooseFS mounts one. The package needs MainWithMounts. A test that starts processes which may hang in
// it calls Free at the end, by a Cleanup that comes after theirs: nobody else can end them.
func StartMooseFS(t testing.TB) *MooseFS {
	t.Helper()
	for _, tool := range []string{"mfsmaster", "mfschunkserver", "mfsmount"} {
		if _, err := exec.LookPath(tool); err != nil {
			Skip(t, "moosefs", fmt.Sprintf("%s is not there (Debian: moosefs-master, moosefs-chunkserver, moosefs-client): %v", tool, err))
		}
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		Skip(t, "fuse", err.Error())
	}
	base := t.TempDir()
	f := &MooseFS{Island: NewIsland(t), base: base, Dir: filepath.Join(base, "mnt")}
	must(t, f.configure())
	f.Master = f.server("mfsmaster", f.listens("9421"), "mfsmaster", "-f", "-a", "-c", base+"/mfsmaster.cfg", "start")
	f.Chunks = f.server("mfschunkserver", f.listens("9422"), "mfschunkserver", "-f", "-c", base+"/mfschunkserver.cfg", "start")
	f.Client = f.server("mfsmount", f.writable, "mfsmount", "-f", "-H", islandAddress, f.Dir)
	t.Cleanup(func() {
		f.Free()
		for _, s := range []MooseServer{f.Client, f.Chunks, f.Master} {
			s.Kill(t)
		}
	})
	for _, s := range []MooseServer{f.Master, f.Chunks, f.Client} {
		must(t, s.start(islandLimit))
	}
	recordRun(t, "moosefs", "Debian")
	return f
}

func (f *MooseFS) server(name string, ready func() error, args ...string) MooseServer {
	return MooseServer{&daemon{name: name, args: f.Argv(args...), log: filepath.Join(f.base, name+".log"), ready: ready}}
}

func (f *MooseFS) configure() error {
	var all []error
	for _, dir := range []string{"master", "cs", "hdd", "mnt"} {
		all = append(all, os.Mkdir(filepath.Join(f.base, dir), 0o755))
	}
	for name, text := range map[string]string{
		"mfsmaster.cfg": fmt.Sprintf(mooseMaster, f.base, islandAddress), "mfschunkserver.cfg": fmt.Sprintf(mooseChunks, f.base, islandAddress),
		"mfshdd.cfg": f.base + "/hdd\n", "mfsexports.cfg": "* / rw,alldirs,admin,maproot=0:0\n", "mfstopology.cfg": "", "master/metadata.mfs": "MFSM NEW",
	} {
		all = append(all, os.WriteFile(filepath.Join(f.base, name), []byte(text), 0o644))
	}
	return errors.Join(all...)
}

// listens tells whether a server takes connections at a port.
func (f *MooseFS) listens(port string) func() error {
	return func() error {
		out, err := f.Command("ss", "-Hltn", "sport", "=", ":"+port).CombinedOutput()
		if err != nil || len(out) == 0 {
			return fmt.Errorf("nothing listens at port %s: %v %s", port, err, out)
		}
		return nil
	}
}

// writable waits for the mount, and for a chunkserver to have registered: until then no space is free.
func (f *MooseFS) writable() error {
	if !slices.Contains(MountsBelow(f.base), f.Dir) {
		return errors.New("not mounted yet")
	}
	out, err := exec.Command("timeout", "-s", "KILL", "5", "stat", "-f", "-c", "%a", f.Dir).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil || text == "0" {
		return fmt.Errorf("no space yet: %w %s", err, text)
	}
	return nil
}

// Free ends whatever waits in it, by breaking the connection, and unmounts it. It may be called again.
func (f *MooseFS) Free() {
	for range 3 {
		if !slices.Contains(MountsBelow(f.base), f.Dir) {
			return
		}
		_ = unix.Unmount(f.Dir, unix.MNT_FORCE) // the first one breaks, and finds it busy
	}
	_ = unix.Unmount(f.Dir, unix.MNT_DETACH) // most often there is nothing left
}
