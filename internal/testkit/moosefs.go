package testkit

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// MooseServer is one of MooseFS's processes, which a test may stop, kill and start again.
type MooseServer struct{ *daemon }

// MooseFS is a real one: a master, one chunkserver and a mount on a network of their own.
type MooseFS struct {
	*Island
	Master, Chunks, Client MooseServer
	Chunkdir               string // where the chunkserver keeps what is written
	FuseMount
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
func StartMooseFS(t testing.TB) *MooseFS { t.Helper(); return MooseFSOn(t, "") }

// MooseFSOn is StartMooseFS with the chunkserver's data in a directory of the test's own; empty for none.
func MooseFSOn(t testing.TB, chunks string) *MooseFS {
	t.Helper()
	for _, tool := range []string{"mfsmaster", "mfschunkserver", "mfsmount"} {
		if _, err := exec.LookPath(tool); err != nil {
			Skip(t, "moosefs", fmt.Sprintf("%s is not there (Debian: moosefs-master, moosefs-chunkserver, moosefs-client): %v", tool, err))
		}
	}
	requireFuse(t)
	base := t.TempDir()
	f := &MooseFS{Island: NewIsland(t), Chunkdir: cmp.Or(chunks, filepath.Join(base, "hdd")), FuseMount: FuseMount{Dir: filepath.Join(base, "mnt"), base: base}}
	must(t, f.configure())
	f.Master = f.server("mfsmaster", f.Listens("9421"), "mfsmaster", "-f", "-a", "-c", base+"/mfsmaster.cfg", "start")
	f.Chunks = f.server("mfschunkserver", f.Listens("9422"), "mfschunkserver", "-f", "-c", base+"/mfschunkserver.cfg", "start")
	f.Client = f.server("mfsmount", f.hasSpace, "mfsmount", "-f", "-H", islandAddress, f.Dir)
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
		"mfshdd.cfg": f.Chunkdir + "\n", "mfsexports.cfg": "* / rw,alldirs,admin,maproot=0:0\n", "mfstopology.cfg": "", "master/metadata.mfs": "MFSM NEW",
	} {
		all = append(all, os.WriteFile(filepath.Join(f.base, name), []byte(text), 0o644))
	}
	return errors.Join(all...)
}
