//go:build vm

package watchdog

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// The binary that is shipped runs in the machine.
func TestBinary(t *testing.T) {
	vmtest.Inside(t)
	out, err := exec.Command(testkit.Binary(t), "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "interlock") {
		t.Fatalf("interlock --version: %v: %q", err, out)
	}
}

const timeout = 2 * time.Second

func open(t *testing.T) *os.File {
	t.Helper()
	dog, err := os.OpenFile("/dev/watchdog", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(dog.Fd()), unix.WDIOC_SETTIMEOUT, int(timeout/time.Second)); err != nil {
		t.Fatal(err)
	}
	return dog
}

// Disarmed by the magic letter before it is closed, it lets the machine live.
func TestDisarmed(t *testing.T) {
	vmtest.Inside(t)
	dog := open(t)
	if _, err := dog.Write([]byte("V")); err != nil {
		t.Fatal(err)
	}
	if err := dog.Close(); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * timeout) // it is the machine's survival that is waited for
}
