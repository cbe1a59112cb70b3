package drain

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/mountcheck"
)

// all is the best that can be done to a volume.
var all = Evidence{Synced: true, Detached: true, Settled: true}

// What nobody here can ask is never called drained, whatever was done to it.
func TestUnknown(t *testing.T) {
	for name, m := range map[string]mountcheck.Mount{
		"CIFS":               {FSType: "cifs", Source: "//filer/share", Point: "/mnt"},
		"SMB 3":              {FSType: "smb3", Source: "//filer/share", Point: "/mnt"},
		"CephFS":             {FSType: "ceph", Source: "10.0.0.1:6789:/", Point: "/mnt"},
		"Lustre":             {FSType: "lustre", Source: "mgs@tcp:/fs", Point: "/mnt"},
		"9p":                 {FSType: "9p", Source: "share", Point: "/mnt"},
		"NFS over RDMA":      {FSType: "nfs4", Point: "/mnt", Super: "rw,vers=4.2,hard,proto=rdma,port=20049,addr=127.0.0.1"},
		"NFS over UDP":       {FSType: "nfs", Point: "/mnt", Super: "rw,vers=3,hard,proto=udp,addr=127.0.0.1"},
		"NFS over many":      {FSType: "nfs4", Point: "/mnt", Super: "rw,vers=4.2,hard,proto=tcp,max_connect=16,addr=127.0.0.1"},
		"NFS of who knows":   {FSType: "nfs4", Point: "/not/mounted/here", Super: "rw,vers=4.2,hard,proto=tcp,addr=127.0.0.1"},
		"NFS without a name": {FSType: "nfs4", Point: "/mnt", Super: "rw,vers=4.2,hard,proto=tcp"},
	} {
		layers, _ := (&Plan{}).layersOf(m, netip.AddrPort{})
		for _, l := range layers {
			if state, why := l.check(all); state != Unknown || why == "" {
				t.Errorf("%s: %s: %s", name, state, why)
			}
		}
		if len(layers) == 0 {
			t.Errorf("%s: no layer", name)
		}
	}
}

// A disk is as local as its path in /sys is.
func TestUnknownDisks(t *testing.T) {
	for dir, want := range map[string]State{
		"/sys/devices/platform/host3/session1/target3:0:0/3:0:0:1/block/sdb":                   Unknown, // iSCSI
		"/sys/devices/pci0000:00/0000:00:05.0/host2/rport-2:0-3/target2:0:0/2:0:0:0/block/sdc": Unknown, // Fibre Channel
		"/sys/devices/virtual/nvme-fabrics/ctl/nvme1/nvme1n1":                                  Unknown,
		"/sys/devices/virtual/block/rbd0":                                                      Unknown,
		"/sys/devices/virtual/block/drbd0":                                                     Unknown,
		"/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda":        Drained,
		"/sys/devices/pci0000:00/0000:00:04.0/virtio1/block/vda":                               Drained,
	} {
		name := dir[strings.LastIndexByte(dir, '/')+1:]
		if state, why := hardware(dir, name).check(all); state != want {
			t.Errorf("%s: %s, not %s: %s", dir, state, want, why)
		}
	}
}

func TestLayout(t *testing.T) {
	const stats = `device rootfs mounted on / with fstype rootfs
device 10.77.0.2:/ mounted on /a\040b with fstype nfs4 statvers=1.1
	opts:	rw,vers=4.2
	nfsv4:	bm0=0xfdffbfff,bm1=0x40f9be3e,bm2=0x68800,acl=0x0,sessions,pnfs=not configured,lease_time=5,lease_expired=0
device 10.77.0.2:/ mounted on /a with fstype nfs4 statvers=1.1
	nfsv4:	bm0=0xfdffbfff,acl=0x0,sessions,pnfs=LAYOUT_NFSV4_1_FILES,lease_time=5
device 10.77.0.2:/ mounted on /c with fstype nfs4 statvers=1.1
	nfsv4:	bm0=0xfdffbfff,acl=0x0
device tmpfs mounted on /d with fstype tmpfs
`
	for point, want := range map[string]string{"/a b": "not configured", "/a": "LAYOUT_NFSV4_1_FILES", "/c": "", "/d": "", "/e": ""} {
		if got := layoutOf(stats, point); got != want {
			t.Errorf("%s: %q, not %q", point, got, want)
		}
	}
}

// A volume of a server that is listed is somebody else's, unless it is our own, which goes on after its unmount.
func TestVolumes(t *testing.T) {
	const volumes = `NV SERVER   PORT DEV          FSID                              FSC
v4 0a4d0002  801 0:45         0:0                               no
`
	server := netip.MustParseAddrPort("10.77.0.2:2049")
	for but, want := range map[string]bool{"": true, "0:44": true, "0:45": false} {
		if got, err := serverListed(volumes, server, but); err != nil || got != want {
			t.Errorf("but %q: %v, %v", but, got, err)
		}
	}
	if got, err := serverListed(volumes, netip.MustParseAddrPort("10.77.0.3:2049"), ""); err != nil || got {
		t.Errorf("another server: %v, %v", got, err)
	}
}
