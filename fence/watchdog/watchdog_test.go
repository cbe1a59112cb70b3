package watchdog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
)

// dog is a device in memory.
type dog struct {
	grants   int // the timeout that it takes instead of the one asked for
	asked    int
	pets     int
	disarmed bool
	fails    error
}

func (d *dog) SetTimeout(s int) (int, error) {
	d.asked = s
	if d.grants != 0 {
		return d.grants, nil
	}
	return s, nil
}
func (d *dog) Pet() error    { d.pets++; return d.fails }
func (d *dog) Disarm() error { d.disarmed = true; return nil }

func timer(d *dog, opened error) *Timer {
	t := New("/dev/test", 10*time.Second+300*time.Millisecond, 250*time.Millisecond)
	t.open = func(string) (device, error) { return d, opened }
	return t
}

var zero = clock.Stamp{Boot: time.Hour, Raw: 2 * time.Hour}

// Petted exactly while now + W + margin does not pass the deadline, on whichever clock is ahead.
func TestPettedWhileItFits(t *testing.T) {
	const last = 20*time.Second - 10*time.Second - 250*time.Millisecond
	for name, c := range map[string]struct {
		boot, raw time.Duration
		want      bool
	}{
		"early": {0, 0, true}, "the last moment": {last, last, true},
		"late": {last + time.Millisecond, last + time.Millisecond, false}, "suspended": {last + time.Hour, 0, false},
		"raw ahead": {0, last + time.Second, false}, "past D": {time.Hour, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &dog{}
			w := timer(d, nil)
			deadline := zero.Add(20 * time.Second)
			if err := w.Arm(zero, deadline); err != nil || d.asked != 10 || d.pets != 1 {
				t.Fatalf("armed: %v, %d s, %d pets", err, d.asked, d.pets)
			}
			petted, err := w.Pet(clock.Stamp{Boot: zero.Boot + c.boot, Raw: zero.Raw + c.raw}, deadline)
			if err != nil || petted != c.want || (d.pets == 2) != c.want {
				t.Errorf("petted %v (%v), %d pets: expected %v", petted, err, d.pets, c.want)
			}
			if d.disarmed || !w.Armed() {
				t.Error("disarmed by itself")
			}
			if err := w.Disarm(); err != nil || !d.disarmed || w.Armed() {
				t.Errorf("disarm: %v", err)
			}
			if petted, _ := w.Pet(zero, deadline); petted {
				t.Error("petted after it was disarmed")
			}
		})
	}
}

// What cannot be counted on is not armed, and what was opened for it is disarmed again.
func TestNotArmed(t *testing.T) {
	sick := errors.New("sick")
	for name, c := range map[string]struct {
		dog    dog
		opened error
		left   time.Duration
		open   bool
	}{
		"longer than asked":  {dog: dog{grants: 60}, left: 20 * time.Second, open: true},
		"no time at all":     {dog: dog{grants: -1}, left: 20 * time.Second, open: true},
		"busy":               {opened: sick, left: 20 * time.Second},
		"cannot be petted":   {dog: dog{fails: sick}, left: 20 * time.Second, open: true},
		"the lease is short": {left: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.dog
			w := timer(&d, c.opened)
			if err := w.Arm(zero, zero.Add(c.left)); err == nil || w.Armed() {
				t.Errorf("armed: %v", err)
			}
			if d.disarmed != c.open {
				t.Errorf("disarmed: %v", d.disarmed)
			}
		})
	}
}

func TestFits(t *testing.T) {
	if w, err := Fits(19920*time.Millisecond, 8*time.Second, 250*time.Millisecond); err != nil || w != 11*time.Second {
		t.Errorf("the defaults give %v (%v): expected 11s", w, err)
	}
	if _, err := Fits(4*time.Second, 3*time.Second, 250*time.Millisecond); err == nil {
		t.Error("took less than a second")
	}
}

// A device is known by its number: whatever it is called, the driver's word about it counts.
func TestCheck(t *testing.T) {
	sys, links := t.TempDir(), t.TempDir()
	char := filepath.Join(sys, "dev/char/1:3") // /dev/null
	if err := os.MkdirAll(char, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(links, "watchdog_hw")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	nowayout := filepath.Join(char, "nowayout")
	for _, c := range []struct {
		path, nowayout string
		good           bool
	}{
		{"/dev/null", "0\n", true}, {"/dev/null", "1\n", false}, {link, "0\n", true}, {link, "1\n", false},
		{"/dev/no-such", "0\n", false}, {nowayout, "0\n", false},
	} {
		if err := os.WriteFile(nowayout, []byte(c.nowayout), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := check(c.path, sys); (err == nil) != c.good {
			t.Errorf("%s, nowayout %s: %v", c.path, c.nowayout, err)
		}
	}
	if err := errors.Join(os.Remove(nowayout), check("/dev/null", sys)); err != nil { // a kernel without WATCHDOG_SYSFS
		t.Error(err)
	}
	if err := os.Mkdir(nowayout, 0o755); err != nil { // what cannot be read says nothing
		t.Fatal(err)
	}
	if err := check("/dev/null", sys); err == nil {
		t.Error("taken, though nowayout cannot be read")
	}
}

// /dev/watchdog is another number for the first device.
func TestFirstDevice(t *testing.T) {
	if got := attributes("/sys", unix.Mkdev(10, 130)); got != "/sys/class/watchdog/watchdog0" {
		t.Error(got)
	}
}
