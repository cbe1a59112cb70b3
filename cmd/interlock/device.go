package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/interlock-run/interlock/device"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/health"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/mountcheck"
)

// devicePlan is what a run does with its block device; the zero plan where none is configured. Its commands
// get none of these variables.
func devicePlan(cfg config.Config, secrets []string) lifecycle.DevicePlan {
	d := cfg.Storage.Device
	if !d.Wanted() {
		return lifecycle.DevicePlan{}
	}
	spec := deviceSpec(cfg)
	return lifecycle.DevicePlan{
		Errand: courier.Request{
			Who: who(cfg), Device: &spec, Secrets: secrets,
		},
		Up: d.UpNeed(), Down: d.DownNeed(), Volume: deviceVolume(d),
	}
}

func deviceSpec(cfg config.Config) device.Spec {
	d := cfg.Storage.Device
	s := device.Spec{
		Name: strings.ReplaceAll(strings.TrimPrefix(d.Attach.Dev, "/dev/"), "/", "-"), Path: d.Attach.Dev,
		Attach: d.Attach.Exec, Detach: d.Detach.Exec, FSType: d.FSType, UUID: d.UUID,
		Point: d.Mount.Path, Options: strings.Join(d.Mount.Opts, ","), State: d.StateDir,
		Tenure: device.Tenure{Lock: lockScope(cfg.Lock.URL)},
		Check:  device.FSCheck{Never: d.Fsck == config.FsckNever, Command: d.FsckExec, Verify: d.Verify},
		Limits: device.Limits(d.Limits),
	}
	if d.Attach.NBD != "" {
		s.NBD.Host, s.NBD.Port, s.NBD.Export = d.Attach.Server()
		s.NBD.Timeout = d.Attach.Timeout
	}
	return s
}

// deviceVolume is the name for the record: where late writes would go, and where it is mounted. A loop device
// is of this machine.
func deviceVolume(d config.Device) string {
	switch {
	case d.Attach.NBD != "":
		host, port, export := d.Attach.Server()
		at := host
		if port != 0 {
			at = net.JoinHostPort(host, strconv.Itoa(port))
		}
		return fmt.Sprintf("nbd://%s/%s %s", at, export, d.Mount.Path)
	case strings.HasPrefix(d.Attach.Dev, "/dev/loop"):
		return ""
	}
	return d.Attach.Dev + " " + d.Mount.Path
}

// onDevice tells whether a path lies on the device, by text.
func onDevice(d config.Device, path string) bool {
	return d.Wanted() && (path == d.Mount.Path || strings.HasPrefix(path, d.Mount.Path+"/"))
}

// expectDevice adds what is known of the device's mount to what is expected of mounts.
func expectDevice(d config.Device, all []mountcheck.Expect) []mountcheck.Expect {
	if !d.Wanted() {
		return all
	}
	i := len(all)
	for j, e := range all {
		if e.Path == d.Mount.Path {
			i = j
		}
	}
	if i == len(all) {
		all = append(all, mountcheck.Expect{Path: d.Mount.Path, FailAfter: config.DefaultFailAfter, RecoverAfter: config.DefaultRecoverAfter})
	}
	all[i].FSType = d.FSType
	if all[i].Source == "" && d.Attach.NBD != "" { // another one may be a link to what it is called in the table
		all[i].Source = d.Attach.Dev
	}
	if all[i].UUID == "" {
		all[i].UUID = d.UUID
	}
	return all
}

// deviceNow is what doctor says of the device.
func deviceNow(cfg config.Config) []checkup {
	d := cfg.Storage.Device
	if !d.Wanted() {
		return nil
	}
	line := checkup{Level: "ok", Topic: "device", What: deviceText(d) + ": nothing is seen here that would keep it from coming up", code: exit.Mount}
	if err := device.Foresee(deviceSpec(cfg)); err != nil {
		line.Level, line.What = "fail", oneLine(err)
	}
	all := []checkup{line}
	if on, forgetful := device.Forgetful(deviceSpec(cfg)); forgetful {
		all = append(all, checkup{Level: "warn", Topic: "device", What: fmt.Sprintf("what is attached is noted in %s on %s, which goes with the container, and the device does not", d.StateDir, on),
			Do: "bind a directory of the machine there, such as its " + config.Defaults().Storage.Device.StateDir})
	}
	return append(all, deviceLimitsOf(d)...)
}

func deviceText(d config.Device) string {
	from := d.Attach.NBD
	if from == "" {
		from = strings.Join(d.Attach.Exec, " ")
	}
	return fmt.Sprintf("%s from %s with %s, mounted at %s", d.Attach.Dev, from, d.FSType, d.Mount.Path)
}

// deviceLimitsOf says what no look at this host shows.
func deviceLimitsOf(d config.Device) []checkup {
	if d.Attach.NBD != "" {
		return []checkup{{Level: "ok", Topic: "device", What: "a second node is kept out only by the server's limit of one client",
			Do: "see that it has one (nbdkit --filter=limit limit=1, nbd-server maxconnections = 1); a node that was cut off keeps its place until the server drops its connection"}}
	}
	if deviceVolume(d) == "" {
		return nil // a loop device is of this machine
	}
	return []checkup{{Level: "warn", Topic: "device", What: "nothing here knows whether the storage lets two nodes attach it at once, and late writes of a lost node cannot be cut off",
		Do: "let the attach command take an exclusive lock there (rbd: --exclusive; iSCSI: a persistent reservation)"}}
}

// dryDevice is the device's line of a dry run.
func dryDevice(out io.Writer, plan lifecycle.Plan, d config.Device) error {
	if !d.Wanted() {
		return nil
	}
	fmt.Fprintf(out, "device   %s; what is on it is looked at once it is attached\n", deviceText(d))
	return exit.With(exit.Mount, courier.CheckDevice(plan.Device.Errand))
}

// deviceMetrics are those of a run with a device.
func deviceMetrics(st *lifecycle.DeviceStatus) []health.Metric {
	if st == nil {
		return nil
	}
	state := health.Metric{Name: "interlock_device_state", Help: "1 for the state of the block device.", Type: "gauge"}
	for _, name := range lifecycle.DeviceStates() {
		state.Samples = append(state.Samples, health.Sample{Labels: []string{"state", name}, Value: one(name == st.State)})
	}
	return []health.Metric{state}
}

func printDevice(w io.Writer, st *lifecycle.DeviceStatus) {
	if st == nil {
		return
	}
	fmt.Fprintf(w, "device\t%s on %s: %s\n", st.Dev, st.Mount, strings.TrimSpace(st.State+" "+st.Step))
	if st.Cause != "" {
		fmt.Fprintf(w, "DEVICE KEPT\t%d tries to take it down have failed: %s; the lock is kept as long as it is ours\n", st.Tries, st.Cause)
	}
}
