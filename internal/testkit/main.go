package testkit

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// suite is what one test process shares. It is the one package-level
// variable here: a test process has one set of shared servers, and TestMain
// and the tests have no other way to meet.
type suite struct {
	spawner spawner

	mu     sync.Mutex
	dir    string            // set by Main: everything temporary of this process lies below it
	asked  map[string]string // set by Main: what the INTERLOCK_ variables said
	zk     shared[*ZKServer]
	etcd   shared[*EtcdServer]
	binary map[flavour]built
}

var proc suite

// Long tells whether the long form of the tests is wanted.
func Long() bool { return setting("INTERLOCK_TEST_LONG") != "" }

// setting is a variable as it was when the test process began.
func setting(name string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return proc.asked[name]
}

// takeSettings removes all INTERLOCK_ variables: for the binary under test
// they would be settings, or unknown ones that it warns of.
func takeSettings() error {
	proc.asked = map[string]string{}
	var errs []error
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "INTERLOCK_") {
			proc.asked[name] = value
			errs = append(errs, os.Unsetenv(name))
		}
	}
	return errors.Join(errs...)
}

// Main runs the tests of a package: call it from TestMain. It makes the
// process a subreaper, so that nothing a test started can slip away, puts
// all temporary files into one folder, stops the shared servers at the end,
// and fails if a test left a process, mount, cgroup or network namespace. The
// tests and what they start see no INTERLOCK_ variable of the caller.
func Main(m *testing.M) {
	code, err := runMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL testkit:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// MainWaiting is Main for tests that wait for most of their time: n run side by side, unless the command
// line says how many.
func MainWaiting(m *testing.M, n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil { // parsed later, so the command line wins
		fmt.Fprintln(os.Stderr, "FAIL testkit:", err)
		os.Exit(1)
	}
	Main(m)
}

func runMain(m *testing.M) (int, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("cannot become a subreaper: %w", err)
	}
	if err := ownTempDir(); err != nil {
		return 1, err
	}
	if err := takeSettings(); err != nil {
		return 1, err
	}
	hearSignals()
	before, err := TakeCensus()
	if err != nil {
		return 1, err
	}
	code := m.Run()
	err = errors.Join(stopShared(), leftovers(before))
	if err != nil {
		return code, fmt.Errorf("%w\n(temporary files kept in %s)", err, proc.dir)
	}
	return code, os.RemoveAll(proc.dir)
}

// hearSignals: what is ignored here, by nohup or by a shell's &, what we start would ignore, too. What is caught, and
// dropped, it gets as usual.
func hearSignals() {
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}

// ownTempDir keeps the name short: unix sockets allow 107 bytes. Others may
// enter, for tests that run things without privilege.
func ownTempDir() error {
	dir, err := os.MkdirTemp("", "itk")
	if err != nil {
		return fmt.Errorf("cannot make a temporary folder: %w", err)
	}
	proc.dir = dir
	return errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir))
}
