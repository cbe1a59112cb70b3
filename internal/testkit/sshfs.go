package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// SSHServer is one of the processes of an sshfs, which a test may stop, kill and start again.
type SSHServer struct{ *daemon }

// KillSessions ends the processes that serve its clients.
func (s SSHServer) KillSessions(t testing.TB) {
	t.Helper()
	s.signalSessions(syscall.SIGKILL)
}

// PauseSessions stops them, until ResumeSessions or the end of the test.
func (s SSHServer) PauseSessions(t testing.TB) {
	t.Helper()
	s.signalSessions(syscall.SIGSTOP)
	t.Cleanup(func() { s.signalSessions(syscall.SIGCONT) })
}

// ResumeSessions continues them.
func (s SSHServer) ResumeSessions(t testing.TB) { t.Helper(); s.signalSessions(syscall.SIGCONT) }

func (s SSHServer) signalSessions(sig syscall.Signal) {
	for _, pid := range Descendants(s.Pid()) {
		_ = syscall.Kill(pid, sig) // it may just have ended
	}
}

// SSHFS is a real one: a server and a mount on a network of their own.
type SSHFS struct {
	*Island
	Server, Client SSHServer
	Back           string // what it shows, on a filesystem of its own of 32 MiB
	FuseMount
}

const sshServer = `Port 2222
ListenAddress %[2]s
HostKey %[1]s/key
AuthorizedKeysFile %[1]s/key.pub
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
`

// StartSSHFS mounts one that gives a silent server up after so many seconds; 0: never. The package needs
// MainWithMounts. For processes that may hang in it see StartMooseFS.
func StartSSHFS(t testing.TB, alive int) *SSHFS {
	t.Helper()
	for _, tool := range []string{"sshfs", "ssh-keygen", "/usr/sbin/sshd"} {
		if _, err := exec.LookPath(tool); err != nil {
			Skip(t, "sshfs", fmt.Sprintf("%s is not there (Debian: sshfs, openssh-server): %v", tool, err))
		}
	}
	requireFuse(t)
	base := t.TempDir()
	f := &SSHFS{Island: NewIsland(t), Back: filepath.Join(base, "back"), FuseMount: FuseMount{Dir: filepath.Join(base, "mnt"), base: base}}
	f.Server = f.server("sshd", f.Listens("2222"), "/usr/sbin/sshd", "-D", "-e", "-f", base+"/sshd.conf")
	f.Client = f.server("sshfs", f.hasSpace, "sshfs", "-f", "-p", "2222", "-o",
		fmt.Sprintf("ServerAliveInterval=%d,ServerAliveCountMax=1,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,IdentityFile=%s/key", alive, base),
		"root@"+islandAddress+":"+f.Back, f.Dir)
	t.Cleanup(func() {
		f.Free()
		f.Client.Kill(t)
		f.Server.KillSessions(t)
		f.Server.Kill(t)
		_ = unix.Unmount(f.Back, unix.MNT_DETACH) // it may never have been mounted
	})
	must(t, f.configure())
	must(t, f.Server.start(islandLimit))
	must(t, f.Client.start(islandLimit))
	recordRun(t, "sshfs", "Debian")
	return f
}

func (f *SSHFS) server(name string, ready func() error, args ...string) SSHServer {
	return SSHServer{&daemon{name: name, args: f.Argv(args...), log: filepath.Join(f.base, name+".log"), ready: ready}}
}

func (f *SSHFS) configure() error {
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(f.base, "key")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	return errors.Join(
		os.MkdirAll("/run/sshd", 0o755), // as at every start of the machine: sshd wants an empty one
		os.Mkdir(f.Back, 0o755), os.Mkdir(f.Dir, 0o755),
		unix.Mount("sshfs", f.Back, "tmpfs", 0, "size=32m"),
		os.WriteFile(filepath.Join(f.base, "sshd.conf"), fmt.Appendf(nil, sshServer, f.base, islandAddress), 0o600),
	)
}
