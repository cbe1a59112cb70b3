package supervise

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// A Diagnosis says of one mode whether it can be had here.
type Diagnosis struct {
	Mode      string
	Available bool
	Why       string // why not, or how
	Misses    string
}

// DescribeModes tries each mode, best first, and leaves nothing behind. It is for doctor, a process
// without a guard; auto takes the first that is available.
func DescribeModes() []Diagnosis {
	list := []Diagnosis{describe(ModePIDNS, tryBareNamespace), describe(ModePID1, func() (string, error) {
		if os.Getpid() != 1 {
			return "", errNotPID1
		}
		return "PID 1 of its namespace", process.OwnView()
	})}
	for _, mode := range []string{ModeCgroup2, ModeCgroup1} {
		list = append(list, describe(mode, func() (string, error) { return tryCgroup(mode == ModeCgroup1) }))
	}
	return append(list, describe(ModeSubreaper, func() (string, error) { return "always", nil }))
}

func describe(mode string, try func() (string, error)) Diagnosis {
	why, err := try()
	if err != nil {
		why = err.Error()
	}
	return Diagnosis{Mode: mode, Available: err == nil, Why: why, Misses: misses(mode)}
}

func tryCgroup(v1 bool) (string, error) {
	c, err := makeCgroup(v1, brood{})
	if err != nil {
		return "", err
	}
	at := c.dir[:strings.LastIndexByte(c.dir, '/')]
	return "below " + at, c.close()
}

// tryBareNamespace clones a process that exits at once: it is our own binary as a namespace's init
// without a link. The caller must not have a waiter for all its children.
func tryBareNamespace() (string, error) {
	user := os.Geteuid() != 0
	how := "PID namespace"
	if user {
		how = "user and PID namespace"
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return how, err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(selfExe, []string{RoleInit}, &syscall.ProcAttr{
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}, Sys: namespaceAttr(user)})
	if err != nil {
		return how, os.NewSyscallError("clone for a "+how, err)
	}
	for {
		if _, err = unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return how, os.NewSyscallError("wait4", err)
		}
	}
}
