package vmtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// A machine is one boot.
type machine struct {
	cmd     *exec.Cmd
	mark    string // begins a line of the first process, which no test can write by chance
	console *os.File
	out     io.Writer // the tests' lines
	reset   string    // the test that announced one
	failed  bool      // a test has, so far: after a reset there is nobody left who knows
}

// An announced error is a reset that a test has asked for.
type announced struct{ test string }

func (a *announced) Error() string { return "reset, as " + a.test + " announced" }

func newMachine(f Family, k kernel, root *os.File, boot int, only string) (*machine, error) {
	qemu, err := findTool("qemu-system-x86_64")
	if err != nil {
		return nil, err
	}
	console, err := nameless()
	if err != nil {
		return nil, err
	}
	m := &machine{mark: "@@vmtest-" + rand.Text(), console: console, out: os.Stdout}
	memory := f.Memory
	if memory == 0 {
		memory = defaultMemory
	}
	// The descriptors 3 and 4 are files without a name; qemu opens them by number.
	m.cmd = exec.Command(qemu, "-M", "pc,hpet=off", "-accel", "tcg,thread=multi",
		"-cpu", "qemu64,+rdrand,+sse4.1,+sse4.2,+ssse3,+popcnt", "-smp", "1", "-m", strconv.Itoa(memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "file:/proc/self/fd/4", "-chardev", "file,id=tests,path=/proc/self/fd/1", "-serial", "chardev:tests",
		"-kernel", k.image(), "-initrd", "/proc/self/fd/3", "-append", m.kernelArgs(boot, only))
	m.cmd.Args = append(m.cmd.Args, f.network()...)
	m.cmd.ExtraFiles = []*os.File{root, console}
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return m, nil
}

// network is none, or one by qemu's own hand, in which the host's loopback has an address.
func (f Family) network() []string {
	if !f.Nodes {
		return []string{"-nic", "none"}
	}
	return []string{"-netdev", "user,id=host", "-device", "virtio-net-pci,netdev=host,romfile="}
}

// kernelArgs leave out what costs an emulated processor time and protects nobody here.
func (m *machine) kernelArgs(boot int, only string) string {
	args := "console=ttyS0 loglevel=4 panic=-1 oops=panic mitigations=off nopti tsc=reliable no_timer_check " +
		"random.trust_cpu=on nokaslr rcupdate.rcu_expedited=1 hung_task_panic=0"
	return fmt.Sprintf("%s vmtest.mark=%s vmtest.boot=%d vmtest.only=%s", args, m.mark, boot, only)
}

// run streams the tests' lines to our own output until there is a verdict.
func (m *machine) run(ctx context.Context) (code int, err error) {
	lines, err := m.cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	var said bytes.Buffer
	m.cmd.Stderr = &said
	if err := m.cmd.Start(); err != nil {
		return 1, fmt.Errorf("qemu: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = m.cmd.Process.Kill() })
	code, found, readErr := m.read(lines)
	stop()
	_ = m.cmd.Process.Kill() // it may have ended by itself
	waitErr := m.cmd.Wait()
	switch {
	case found:
		return code, readErr
	case m.reset != "":
		return 1, &announced{m.reset}
	}
	return 1, errors.Join(fmt.Errorf("the machine ended without a verdict (%v) %s", waitErr, bytes.TrimSpace(said.Bytes())), readErr)
}

func (m *machine) read(from io.Reader) (code int, found bool, err error) {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadString('\n')
		rest, ours := strings.CutPrefix(line, m.mark)
		switch {
		case ours:
			verb, value, _ := strings.Cut(strings.TrimSpace(rest), " ")
			switch verb {
			case "exit":
				code, err := strconv.Atoi(value)
				return code, true, err
			case "reset":
				m.reset = value
			}
		case line != "":
			m.failed = m.failed || strings.HasPrefix(line, "--- FAIL")
			if _, err := io.WriteString(m.out, line); err != nil {
				return 1, false, err
			}
		}
		if errors.Is(err, io.EOF) {
			return 1, false, nil
		}
		if err != nil {
			return 1, false, err
		}
	}
}

const wordsKept = 6000

// lastWords shows the end of the kernel's log.
func (m *machine) lastWords() error {
	st, err := m.console.Stat()
	if err != nil {
		return err
	}
	from := max(0, st.Size()-wordsKept)
	tail := make([]byte, st.Size()-from)
	if _, err := m.console.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	fmt.Fprintf(os.Stderr, "--- the machine's console, its end:\n%s\n---\n", bytes.TrimSpace(tail))
	return nil
}

func (m *machine) wordsIf(failed bool) error {
	if !failed {
		return nil
	}
	return m.lastWords()
}
