package supervise

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/interlock-run/interlock/internal/clock"
	"golang.org/x/sys/unix"
)

// A pass is what the guard tells a gate with its go.
type pass struct {
	until      clock.Stamp // the gate reads the clock itself too, as its last step
	parent     int         // whose child it must still be
	ownProc    bool        // a payload in a PID namespace: give it a /proc of its own
	worker     bool
	dir        string
	credential *Credential
	// pidVariable gets the pid in numbers of the outer /proc: inside a PID namespace the process cannot
	// ask for it later.
	pidVariable string
}

func (p packer) pass(v pass) packer {
	return p.stamp(v.until).int(v.parent).flag(v.ownProc).flag(v.worker).str(v.dir).credential(v.credential).str(v.pidVariable)
}

func (u *unpacker) pass() pass {
	return pass{until: u.stamp(), parent: u.int(), ownProc: u.flag(), worker: u.flag(), dir: u.str(), credential: u.credential(), pidVariable: u.str()}
}

// A failure is where a start ended.
type failure struct {
	stage string
	errno syscall.Errno
	text  string
}

// BeWorker is what Gate and Spare return when the process, as it is, shall go on as a worker: os.Args
// says so by then. Everything else is an exit code.
const BeWorker = -1

// Gate is the whole of a process of the kill domain until its go comes (E4): it says hello, waits, and
// becomes the command. When its guard is gone, or the go comes too late, it ends. It never returns
// after a successful exec.
func Gate() int {
	runtime.LockOSThread() // PDEATHSIG, the mount namespace and exec belong to one thread
	if len(os.Args) < 3 {
		return exitUsage
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return exitUsage
	}
	c, err := openConn(fd)
	if err != nil {
		return exitInternal
	}
	holdSignals()
	return passThrough(c, os.Args[2:], syscall.Environ())
}

// passThrough asks at the control end, waits for the go, and follows it.
func passThrough(c *conn, argv, env []string) int {
	if c.send(pack(msgHello)) != nil {
		return exitInternal
	}
	p, err := awaitGo(c)
	if err != nil {
		return exitInternal
	}
	f := enter(p, argv, env)
	if f.stage == "" {
		os.Args = argv
		if c.close() != nil { // its end is what tells that we became the command
			return exitInternal
		}
		return BeWorker
	}
	if err := c.send(pack(msgFailed).str(f.stage).num(uint64(f.errno))); err != nil {
		return exitInternal
	}
	return exitCannotStart
}

// holdSignals keeps a TERM to the whole tree from ending the gate; exec puts the defaults back. What
// was ignored stays ignored, for the command.
func holdSignals() {
	sink := make(chan os.Signal, 1)
	for _, sig := range append(stopSignals(), forwarded()...) {
		if !signal.Ignored(sig) {
			signal.Notify(sink, sig)
		}
	}
}

func awaitGo(c *conn) (pass, error) {
	m, err := c.recv(make([]byte, maxMessage))
	if err != nil {
		return pass{}, err
	}
	u := &unpacker{b: m.body}
	if u.num() != msgGo {
		return pass{}, errMalformed
	}
	p := u.pass()
	return p, u.err()
}

// enter does what the guard ordered and execs; it returns the failure, or an empty one in a process that
// is to go on as a worker.
func enter(p pass, argv, env []string) failure {
	inPlace := p.worker && p.credential == nil && !ambient()
	if p.pidVariable != "" { // before /proc becomes our own
		if pid, err := os.Readlink("/proc/self"); err == nil {
			env = append(env, p.pidVariable+"="+pid)
		}
	}
	if p.ownProc {
		mountProc() // where it is forbidden the outer /proc stays
	}
	if err := become(p.credential); err != nil {
		return failure{stage: "credential", errno: asErrno(err)}
	}
	if p.dir != "" {
		if err := syscall.Chdir(p.dir); err != nil {
			return failure{stage: "chdir", errno: asErrno(err)}
		}
	}
	path, errno := selfExe, syscall.Errno(0)
	if !p.worker {
		if path, errno = lookPath(argv[0], env); errno != 0 {
			return failure{stage: StageExec, errno: errno}
		}
	}
	if err := dieWithParent(p.parent); err != nil {
		return failure{stage: "gate", errno: asErrno(err)}
	}
	if clock.Now().Reached(p.until) {
		return failure{stage: "late", errno: syscall.ETIMEDOUT}
	}
	if inPlace {
		return failure{}
	}
	return failure{stage: StageExec, errno: asErrno(syscall.Exec(path, argv, env))}
}

// ambient tells whether some thread may have what only an exec takes from all of them.
func ambient() bool {
	set, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_SYS_ADMIN, 0, 0)
	return err == nil && set != 0
}

// mountProc gives this process a mount namespace with the /proc of its own PID namespace. Mounts made
// outside later still arrive here, ours do not leave.
func mountProc() {
	if unix.Unshare(unix.CLONE_NEWNS) != nil {
		return
	}
	if unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") != nil {
		return
	}
	// Refused where the outer /proc is partly covered (containers): the outer one stays in sight.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

func become(c *Credential) error {
	if err := dropAmbient(); err != nil || c == nil {
		return err
	}
	groups := make([]int, 0, len(c.Groups))
	for _, g := range c.Groups {
		groups = append(groups, int(g))
	}
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setresgid(int(c.GID), int(c.GID), int(c.GID)); err != nil {
		return err
	}
	return syscall.Setresuid(int(c.UID), int(c.UID), int(c.UID))
}

// dropAmbient takes back what the namespace's init keeps for mounting /proc; a kernel without ambient
// capabilities has none to drop.
func dropAmbient() error {
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err == unix.EINVAL {
		return nil
	}
	return err
}

// dieWithParent is an extra (a change of credentials clears it), set after our own change of them.
func dieWithParent(parent int) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	if os.Getppid() != parent {
		return syscall.ESRCH
	}
	return nil
}

// lookPath finds a command as execvp does; a file that may not be executed is told from none at all.
func lookPath(name string, env []string) (string, syscall.Errno) {
	if strings.Contains(name, "/") {
		return name, 0
	}
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, "PATH="); ok && value != "" {
			path = value
			break
		}
	}
	errno := syscall.ENOENT
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			dir = "."
		}
		full := dir + "/" + name
		var st unix.Stat_t
		err := unix.Stat(full, &st)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && unix.Access(full, unix.X_OK) == nil {
			return full, 0
		}
		if err == nil || err == unix.EACCES {
			errno = syscall.EACCES
		}
	}
	return "", errno
}
