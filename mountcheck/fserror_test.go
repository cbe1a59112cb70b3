package mountcheck

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// breakExt4 lets ext4 find an error in itself.
func breakExt4(t *testing.T, dir string) {
	t.Helper()
	m, err := Trace(dir)
	if err != nil {
		t.Fatal(err)
	}
	trigger := filepath.Join("/sys/fs/ext4", kernel("/").device(m), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("a test"), 0); err != nil {
		t.Skipf("ext4 cannot be broken here: %v", err)
	}
}

func heardErrors(t *testing.T) {
	t.Helper()
	if err := CanHearErrors(); err != nil {
		t.Skipf("no events of errors here: %v", err)
	}
}

// TestAnErrorOfExt4AsksForAProbe: nothing else tells that it has turned read-only; the next probe of the period
// would come in an hour.
func TestAnErrorOfExt4AsksForAProbe(t *testing.T) {
	heardErrors(t)
	dir := ext4(t)
	w := watch(t, Config{Expect: []Expect{{Path: dir}}, Period: time.Hour})
	want(t, w, dir, OK)
	w.EnableWrites(dir)
	written := w.plan.targets[0]
	eventually(t, "the first write probe", func() bool { return written.probes() > 0 })
	began := time.Now()
	breakExt4(t, dir)
	f := want(t, w, dir, ReadOnly)
	t.Logf("%s after %s: %s", f.Kind, time.Since(began).Round(time.Microsecond), f.Detail)
}

// TestErrorsDoNotDriveProbes: of errors that go on and on, one in a period asks for a probe, and for one a moment later.
func TestErrorsDoNotDriveProbes(t *testing.T) {
	heardErrors(t)
	dir := ext4(t)
	command(t, "mount", "-o", "remount,errors=continue", dir)
	w := watch(t, Config{Expect: []Expect{{Path: dir, Require: []string{"errors=continue"}}}, Period: time.Hour})
	want(t, w, dir, OK)
	looks := w.plan.targets[0].looked()
	for range 20 {
		breakExt4(t, dir)
	}
	eventually(t, "one more probe", func() bool { return w.plan.targets[0].looked() > looks })
	for range 20 {
		breakExt4(t, dir)
	}
	quietFor(t, w, 3*actedOn)
	if n := w.plan.targets[0].looked(); n > looks+2 {
		t.Errorf("%d probes after 40 errors, expected two at most", n-looks)
	}
}

// TestBrokenExt4WithoutAWrite: what the kernel shows of it is judged, too, where nothing may be written.
func TestBrokenExt4WithoutAWrite(t *testing.T) {
	dir := ext4(t)
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	breakExt4(t, dir)
	t.Log(want(t, w, dir, ReadOnly).Detail)
}

// TestShutDownExt4: nothing reaches the device any more.
func TestShutDownExt4(t *testing.T) {
	dir := ext4(t)
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const shutdown, noFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN
	if err := unix.IoctlSetPointerInt(int(d.Fd()), shutdown, noFlush); err != nil {
		t.Fatal(err)
	}
	t.Log(want(t, w, dir, Erroring).Detail)
}
