//go:build vm

package nbd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/device"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
)

func (e *export) spec() device.Spec {
	t := e.t
	t.Helper()
	base := t.TempDir()
	s := device.Spec{Name: "data", Path: node, FSType: "ext4", Point: filepath.Join(base, "mnt"), State: filepath.Join(base, "state"),
		Options: "errors=remount-ro", NBD: device.NBD{Host: vmtest.ServerAddr, Port: port, Timeout: 2 * time.Second}}
	must(t, os.Mkdir(s.Point, 0o755))
	must(t, os.Mkdir(s.State, 0o755))
	vmtest.Run(t, "mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard", e.image)
	t.Cleanup(func() { e.detach(s.Point) })
	return s
}

func TestDevice(t *testing.T) {
	e := newExport(t)
	s := e.spec()
	must(t, device.Up(context.Background(), s))
	must(t, os.WriteFile(filepath.Join(s.Point, "file"), []byte("x"), 0o644))
	must(t, device.Up(context.Background(), s))
	// Another node finds the server's one place taken.
	second := s
	second.Path, second.State = "/dev/nbd1", t.TempDir()
	if err := device.Up(context.Background(), second); err == nil {
		t.Error("two clients of one export")
	} else {
		t.Log(err)
	}
	rest, err := device.Down(context.Background(), s)
	must(t, err)
	if !rest.Settled || attached() {
		t.Errorf("settled %v, attached %v", rest.Settled, attached())
	}
	second.Point = s.Point
	testkit.Wait(t, vmtest.Limit, func() (bool, string) { // until the server has seen the first one go
		err := device.Up(context.Background(), second)
		return err == nil, errText(err)
	})
	_, err = device.Down(context.Background(), second)
	must(t, err)
}

// What a dead run has left attached and mounted is cut off before anything is written: another node may have
// written since. What was synced is there.
func TestDeviceOfAnEarlierTenure(t *testing.T) {
	e := newExport(t)
	s := e.spec()
	s.Options, s.Tenure = "commit=300", device.Tenure{Lock: "file:/l", Token: "1"}
	must(t, device.Up(context.Background(), s))
	must(t, os.WriteFile(filepath.Join(s.Point, "synced"), []byte("x"), 0o644))
	unix.Sync()
	must(t, os.WriteFile(filepath.Join(s.Point, "dirty"), []byte("x"), 0o644))
	before, err := os.ReadFile(e.image)
	must(t, err)
	s.Tenure.Token = "2"
	must(t, device.Cut(context.Background(), s))
	after, err := os.ReadFile(e.image)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("a device that was cut off was written to")
	}
	if attached() {
		t.Error("it is still attached")
	}
	must(t, device.Up(context.Background(), s))
	s.Tenure.Token = "3"
	must(t, device.Up(context.Background(), s)) // clears what token 2 has, and begins anew
	_, synced := os.Stat(filepath.Join(s.Point, "synced"))
	_, dirty := os.Stat(filepath.Join(s.Point, "dirty"))
	if synced != nil || !os.IsNotExist(dirty) {
		t.Errorf("synced: %v, not synced: %v", synced, dirty)
	}
	_, err = device.Down(context.Background(), s)
	must(t, err)
}

// The server is out of reach for good when the device is cut off: nothing waits for it.
func TestDeviceCutWithoutAServer(t *testing.T) {
	e := newExport(t)
	s := e.spec()
	s.NBD.Timeout = time.Hour
	must(t, device.Up(context.Background(), s))
	must(t, os.WriteFile(filepath.Join(s.Point, "file"), []byte("x"), 0o644))
	e.Cut()
	start := time.Now()
	must(t, device.Cut(context.Background(), s))
	t.Logf("cut off after %v", time.Since(start).Round(time.Millisecond))
	if attached() {
		t.Error("it is still attached")
	}
	e.Join()
}

// What a dead run has sent, and the server has not taken, would land on what the next one writes: it does not come
// up before the old connection is closed.
func TestDeviceWaitsForAnOldConnection(t *testing.T) {
	e := newExport(t)
	s := e.spec()
	s.Limits.Detach = time.Second
	must(t, device.Up(context.Background(), s))
	must(t, os.WriteFile(filepath.Join(s.Point, "file"), []byte("x"), 0o644))
	e.server.Signal(t, unix.SIGSTOP)
	later := s
	later.Tenure.Token = "2"
	err := device.Up(context.Background(), later)
	if err == nil || !strings.Contains(err.Error(), "may still land there") {
		t.Errorf("got %v", err)
	}
	e.server.Signal(t, unix.SIGCONT)
	testkit.Wait(t, vmtest.Limit, func() (bool, string) {
		err := device.Up(context.Background(), later)
		return err == nil, errText(err)
	})
	_, err = device.Down(context.Background(), later)
	must(t, err)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A server that stands still: Down ends all the same, and does not say settled.
func TestDeviceOfAStoppedServer(t *testing.T) {
	e := newExport(t)
	s := e.spec()
	must(t, device.Up(context.Background(), s))
	must(t, os.WriteFile(filepath.Join(s.Point, "file"), []byte("x"), 0o644))
	e.server.Signal(t, unix.SIGSTOP)
	s.Limits.Detach = 20 * time.Second
	start := time.Now()
	rest, err := device.Down(context.Background(), s)
	t.Logf("down after %v: settled %v, %v", time.Since(start).Round(time.Millisecond), rest.Settled, err)
	if rest.Settled {
		t.Error("settled, by a server that answers nothing")
	}
	e.server.Signal(t, unix.SIGCONT)
}

// One name for two addresses, and the first one takes connections and says nothing: the other one has its share of the
// time. The same where no server has come up at all: it ends with the limit, and names both.
func TestDeviceOfTwoAddresses(t *testing.T) {
	e := newExport(t)
	s := e.spec()
	const mute, name = "127.0.0.9", "storage.test" // an address of this machine is tried first
	silent, err := net.Listen("tcp", fmt.Sprintf("%s:%d", mute, port))
	must(t, err)
	defer silent.Close()
	must(t, os.WriteFile("/etc/hosts", []byte(mute+" "+name+"\n"+vmtest.ServerAddr+" "+name+"\n"), 0o644)) // of the machine for the tests
	addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", name)
	if must(t, err); len(addrs) != 2 || addrs[0].Unmap().String() != mute {
		t.Fatalf("%v: expected %s first, else the test has no sense", addrs, mute)
	}
	s.NBD.Host, s.Limits.Attach = name, 40*time.Second
	must(t, device.Up(context.Background(), s))
	export, err := device.Export(s)
	if must(t, err); export != address().String() {
		t.Errorf("connected to %s, expected %s", export, address())
	}
	_, err = device.Down(context.Background(), s)
	must(t, err)
	e.stop()
	s.Limits.Attach = 4 * time.Second
	err = device.Up(context.Background(), s)
	if err == nil || !strings.Contains(err.Error(), mute+": ") || !strings.Contains(err.Error(), vmtest.ServerAddr+": ") {
		t.Errorf("got %v, expected both addresses in it", err)
	}
	e.goOn()
	if attached() {
		t.Error("something is attached")
	}
}
