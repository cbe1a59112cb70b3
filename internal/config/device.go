package config

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Device is a block device that is attached, repaired and mounted for the run, and taken away at its end.
type Device struct {
	Attach   DeviceAttach
	Detach   DeviceDetach
	UUID     string // of the filesystem; empty: any
	FSType   string
	Mount    DeviceMount
	Fsck     string // never | preen | command
	FsckExec []string
	Verify   bool
	StateDir string // where is noted what was attached here
	Limits   DeviceLimits
}

// DeviceAttach is how the device comes: an nbd export, or a command.
type DeviceAttach struct {
	NBD     string // host[:port][/export]
	Exec    []string
	Dev     string
	Timeout time.Duration // of each request to an nbd server
}

// DeviceDetach is how it goes, where a command attached it.
type DeviceDetach struct{ Exec []string }

// DeviceMount is where it is mounted, and how.
type DeviceMount struct {
	Path string
	Opts []string
}

// DeviceLimits bound the steps.
type DeviceLimits struct {
	Attach time.Duration
	Repair time.Duration
	Mount  time.Duration
	Detach time.Duration
}

// The values of device.fsck that others ask for.
const (
	FsckNever   = "never"
	FsckCommand = "command"
)

// Wanted tells whether there is a device.
func (d Device) Wanted() bool { return d.Attach.NBD != "" || len(d.Attach.Exec) > 0 }

// protectedStep is the least that repair and mount have where an ext4 has multiple-mount protection.
const protectedStep = 2 * time.Minute

// UpNeed bounds all steps of attaching and mounting, a left-over of an earlier run taken down before and a
// failure undone after.
func (d Device) UpNeed() time.Duration {
	l := d.Limits
	step := func(t time.Duration) time.Duration {
		if d.FSType == "ext4" {
			return max(t, protectedStep)
		}
		return t
	}
	return 4*l.Attach + 2*step(l.Repair) + 2*step(l.Mount) + 5*l.Detach
}

// DownNeed bounds one try of unmounting and detaching.
func (d Device) DownNeed() time.Duration { return 2 * d.Limits.Detach }

// Server takes device.attach.nbd apart. Port is 0 where it is not given.
func (a DeviceAttach) Server() (host string, port int, export string) {
	at, export, _ := strings.Cut(a.NBD, "/")
	host, number := splitPort(at)
	return strings.Trim(host, "[]"), number, export
}

func defaultDevice() Device {
	return Device{
		Attach: DeviceAttach{Timeout: 30 * time.Second}, FSType: "ext4", Fsck: "preen", StateDir: "/run/interlock",
		Limits: DeviceLimits{Attach: time.Minute, Repair: 30 * time.Minute, Mount: 5 * time.Minute, Detach: time.Minute},
	}
}

func deviceFields() []Field {
	return slices.Concat(deviceComes(), deviceFilesystem(), deviceLimits())
}

func deviceComes() []Field {
	return []Field{
		{Key: "device.attach.nbd", Flag: "device-attach-nbd", Help: "network block device to attach, with one connection: HOST[:PORT][/EXPORT]", Unset: "none", Example: "nbd-1:10809/orders",
			at: func(c *Config) any { return &c.Device.Attach.NBD }, check: nbdExport},
		{Key: "device.attach.exec", Flag: "device-attach-exec", Help: "or the command that attaches the device (rbd, iscsi, loop); it must leave no process behind", Unset: "none", Example: "[]",
			at: func(c *Config) any { return &c.Device.Attach.Exec }, check: attachCommand},
		{Key: "device.attach.dev", Flag: "device-attach-dev", Help: "the device as it is called once attached; a link such as one in /dev/disk/by-path will do, except for nbd", Unset: "none", Example: "/dev/nbd0",
			at: func(c *Config) any { return &c.Device.Attach.Dev }, check: deviceNode},
		{Key: "device.attach.timeout", Flag: "device-attach-timeout", Help: "after which the kernel gives a request to the nbd server up; the filesystem ends then",
			at: func(c *Config) any { return &c.Device.Attach.Timeout }, check: positive},
		{Key: "device.detach.exec", Flag: "device-detach-exec", Help: "command that detaches what device.attach.exec attached", Unset: "none", Example: "[]",
			at: func(c *Config) any { return &c.Device.Detach.Exec }, check: argv},
	}
}

func deviceFilesystem() []Field {
	return []Field{
		{Key: "device.uuid", Flag: "device-uuid", Help: "UUID of the filesystem that must be on the device, as blkid -p tells it", Unset: "any", Example: "6d1c2f0e-5f6f-4c8e-9a53-0c9d1a7f2b10",
			at: func(c *Config) any { return &c.Device.UUID }, check: uuid},
		{Key: "device.fstype", Flag: "device-fstype", Help: "filesystem that must be on the device", Values: []string{"ext4", "xfs"},
			at: func(c *Config) any { return &c.Device.FSType }},
		{Key: "device.mount.path", Flag: "device-mount-path", Help: "where the device is mounted: a directory, whose own files are not seen meanwhile; the check of mounts includes it", Unset: "none", Example: "/srv/blocks",
			at: func(c *Config) any { return &c.Device.Mount.Path }, check: dataDir},
		{Key: "device.mount.opts", Flag: "device-mount-opts", Help: "options of the mount; errors=remount-ro is added for ext4", Unset: "none", Example: "[noatime]",
			at: func(c *Config) any { return &c.Device.Mount.Opts }, check: deviceOpts},
		{Key: "device.fsck", Flag: "device-fsck", Help: "repair before the mount: what is safe without a person (e2fsck -p; the mount of an xfs does it), a command, or none; a journal is replayed in any case", Values: []string{FsckNever, "preen", FsckCommand},
			at: func(c *Config) any { return &c.Device.Fsck }},
		{Key: "device.fsck_exec", Flag: "device-fsck-exec", Help: "command of device.fsck command: gets the device as its last argument, and ends with 0 where the filesystem may be mounted", Unset: "none", Example: "[]",
			at: func(c *Config) any { return &c.Device.FsckExec }, check: fsckCommand},
		{Key: "device.verify", Flag: "device-verify", Help: "read the whole filesystem before the mount (e2fsck -fn, xfs_repair -n), and refuse it with any error",
			at: func(c *Config) any { return &c.Device.Verify }},
		{Key: "device.state_dir", Flag: "device-state-dir", Help: "directory of this node, not of a container alone, in which is noted what was attached; it is made",
			at: func(c *Config) any { return &c.Device.StateDir }, check: dataDir},
	}
}

func deviceLimits() []Field {
	limit := func(name, help string, at func(*DeviceLimits) *time.Duration) Field {
		return Field{Key: "device.limits." + name, Flag: "device-limits-" + name, Help: help,
			at: func(c *Config) any { return at(&c.Device.Limits) }, check: positive}
	}
	return []Field{
		limit("attach", "bound of attaching, and of each look at the device", func(l *DeviceLimits) *time.Duration { return &l.Attach }),
		limit("repair", "bound of repair and of verification; at least 2m with multiple-mount protection", func(l *DeviceLimits) *time.Duration { return &l.Repair }),
		limit("mount", "bound of the mount, which replays a journal; at least 2m with multiple-mount protection", func(l *DeviceLimits) *time.Duration { return &l.Mount }),
		limit("detach", "bound of each try of unmounting and of detaching; after it the next try, with the lock held", func(l *DeviceLimits) *time.Duration { return &l.Detach }),
	}
}

func (d Device) part() Part {
	if !d.Wanted() {
		return Part{}
	}
	return Part{"device", min(d.UpNeed(), math.MaxInt64/4)}
}

func (d Device) endPart() Part {
	if !d.Wanted() {
		return Part{}
	}
	return Part{"device-limits-detach, twice", d.DownNeed()}
}
