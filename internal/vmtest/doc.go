// Package vmtest runs the tests of a package inside a virtual machine of their own: Debian's kernel under
// qemu, without KVM, with the test binary as its first process. So they can hang a kernel's NFS client,
// pull a network block device from under a filesystem and let a watchdog fire.
//
// Promise: the tests' lines are streamed as they come and their verdict is the exit code; the time is
// bounded by -test.timeout; nothing of it outlives the host's process, files included; a test that asks
// Inside never runs on the host. Non-promise: times are those of an emulated processor, several times
// slower than a real one; where qemu or the kernel cannot be had, every test is skipped and says so.
// Called by TestMain of the packages below, and by nothing of the product.
package vmtest

// A Family is what the tests of one package need inside the machine.
type Family struct {
	Modules   []string // kernel modules, loaded before the tests
	Available []string // kernel modules that can be loaded
	Tools     []string // commands of the host that are copied, with their libraries
	Files     []string // patterns of files of the host that are copied to the same place, with their libraries
	Scripts   []string // files of this module, which run by Script
	Binary    bool     // the tests use testkit.Binary and scene.PayloadBinary
	Memory    int      // in MB, default 400
	Nodes     bool     // the tests run on the host and start machines by Start, which reach it as HostAddr
	Resets    int      // how many resets that a test announces by ExpectReset a run may have
}

const defaultMemory = 400

// insideVar is set for the tests in the machine, missingVar for those on a host that cannot boot one.
const (
	insideVar  = "VMTEST_INSIDE"
	missingVar = "VMTEST_MISSING"
)
