package testkit

import (
	"os"
	"syscall"
	"testing"
)

// WriteProgram writes a file that is executed, a script most often. While it is open for writing no child is forked:
// one of a test beside this one would have it open, too, until its own exec, and whoever executes it is told
// "text file busy" as long.
func WriteProgram(t testing.TB, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	must(t, err)
	must(t, os.Chmod(path, 0o755)) // whatever the umask
}
