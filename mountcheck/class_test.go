package mountcheck

import (
	"os"
	"path/filepath"
	"testing"
)

func TestClassesByHowTheyLook(t *testing.T) {
	tb := parse(t, `27 1 8:1 / / rw - ext4 /dev/sda1 rw,errors=remount-ro
30 27 0:40 / /a rw - nfs4 nas:/exp rw,hard
31 27 0:41 / /b rw - nfs nas:/exp rw,hard
32 27 0:42 / /c rw - nfs4 127.0.0.1:/ rw,hard
33 27 0:43 / /d rw - nfs4 fs-01.efs.eu-west-1.amazonaws.com:/ rw,hard
34 27 0:44 / /e rw - fuse mfs\043m:9421 rw
35 27 0:45 / /f rw - fuse /dev/fuse rw
36 27 0:46 / /g rw - fuse.glusterfs h:v rw
37 27 0:47 / /h rw - fuse.ceph-fuse ceph-fuse rw
38 27 0:48 / /i rw - fuse.sshfs u@h:/ rw
39 27 0:49 / /j rw - smb3 //h/s rw
40 27 0:50 / /k rw - lustre m@tcp:/fs rw,flock
41 27 0:51 / /l rw,relatime shared:9 - ceph 10.0.0.1:6789,10.0.0.2:6789:/vol rw,name=db,secret=<hidden>,acl
42 27 0:52 / /m rw,relatime shared:10 - ceph db@2f1e.data=/vol rw,name=db,secret=<hidden>,ms_mode=crc,mon_addr=10.0.0.1:3300
43 27 0:53 / /n rw,nosuid,nodev,relatime - fuse.sshfs app@host:/srv/my\040data rw,user_id=0,group_id=0,allow_other
44 27 0:54 / /o rw,relatime - cifs //nas/db rw,vers=3.1.1,cache=strict,username=x,soft,nounix,serverino,mapposix
45 27 0:55 / /p rw,relatime - nfs4 127.0.0.1:/ rw,vers=4.1,rsize=1048576,hard,noresvport,proto=tcp,port=20127,timeo=600,addr=127.0.0.1
46 27 0:56 / /q rw,relatime - lustre 10.0.0.1@tcp:10.0.0.2@tcp:/scratch/db rw,checksum,flock,nouser_xattr,lruresize,lazystatfs
`)
	for path, want := range map[string][]string{
		"/": {"ext4"}, "/a": {"nfs", "nfs4"}, "/b": {"nfs"}, "/c": {"efs", "nfs", "nfs4"}, "/d": {"efs", "nfs"}, "/e": {"moosefs", "fuse"},
		"/f": {"fuse"}, "/g": {"glusterfs", "fuse.*"}, "/h": {"cephfs"}, "/i": {"sshfs"}, "/j": {"cifs"}, "/k": {"lustre"},
		"/l": {"cephfs", "ceph"}, "/m": {"cephfs"}, "/n": {"sshfs", "fuse.*"}, "/o": {"cifs"}, "/p": {"efs", "nfs"}, "/q": {"lustre"},
	} {
		for _, name := range []string{"nfs", "efs", "moosefs", "glusterfs", "cephfs", "sshfs", "cifs", "lustre"} {
			if got := fstypeMatches(name, tb.holder(path)); got != has(want, name) {
				t.Errorf("%s is %s: %v", tb.holder(path), name, got)
			}
		}
		for _, name := range want {
			if !fstypeMatches(name, tb.holder(path)) {
				t.Errorf("%s is not %s", tb.holder(path), name)
			}
		}
	}
}

// TestUnsafeByDefault: what no service is safe with is refused of a mount that was named, unless it is
// asked for.
func TestUnsafeByDefault(t *testing.T) {
	for _, c := range []struct {
		fstype, super, option string
		hidden                []string
	}{
		{"nfs4", "rw,soft,timeo=10", "soft", nil},
		{"nfs4", "rw,softerr", "softerr", nil},
		{"nfs", "rw,hard,nolock", "nolock", nil},
		{"nfs", "rw,hard,local_lock=all", "local_lock=all", nil},
		{"nfs", "rw,hard,local_lock=flock", "local_lock=flock", nil},
		{"lustre", "rw,localflock", "localflock", nil},
		{"cifs", "rw,nobrl", "nobrl", nil},
		{"ceph", "rw,name=db,secret=<hidden>,recover_session=clean,mon_addr=10.0.0.1:6789", "recover_session=clean", nil},
		{"ext4", "rw,errors=continue", "errors=continue", nil},
		{"ext4", "rw", "errors=continue", []string{"errors=continue"}},
		{"xfs", "rw", untimed, []string{untimed}},
	} {
		m := Mount{ID: 1, Root: "/", Point: "/srv", FSType: c.fstype, Source: "x:/y", Options: "rw", Super: c.super, hidden: c.hidden}
		for e, want := range map[string]Kind{"named": Wrong, "required": OK, "only watched": OK} {
			exp := Expect{Path: "/srv", named: e != "only watched"}
			if e == "required" {
				exp.Require = []string{c.option}
			}
			if got := judge(exp, Mount{}, m); got.Kind != want {
				t.Errorf("%s %s, %s: got %+v, want %s", c.fstype, c.super, e, got, want)
			}
		}
	}
	for _, super := range []string{"rw,hard,local_lock=none", "rw,hard,softreval"} {
		m := Mount{ID: 1, Root: "/", Point: "/srv", FSType: "nfs4", Options: "rw", Super: super}
		if got := judge(Expect{Path: "/srv", named: true}, Mount{}, m); got.Kind != OK {
			t.Errorf("%s: got %+v", super, got)
		}
	}
}

// TestHiddenSettings: what the kernel tells beside the mount table, by the device's number.
func TestHiddenSettings(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"proc/fs/ext4/nbd3/options":         "rw\nerrors=continue\ncommit=5\n",
		"sys/kernel/debug/nbd/nbd3/timeout": "0\n",
		"sys/kernel/debug/nbd/nbd4/timeout": "30\n",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "sys/dev/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, link := range [][2]string{{"../../devices/virtual/block/nbd3", "43:3"}, {"../../devices/virtual/block/nbd4", "43:4"}} {
		if err := os.Symlink(link[0], filepath.Join(root, "sys/dev/block", link[1])); err != nil {
			t.Fatal(err)
		}
	}
	k := kernel(root)
	for _, c := range []struct {
		m    Mount
		want []string
	}{
		{Mount{FSType: "ext4", Source: "/dev/disk/by-id/x", Major: 43, Minor: 3}, []string{"errors=continue", untimed}},
		{Mount{FSType: "xfs", Source: "/dev/nbd3", Major: 43, Minor: 3}, []string{untimed}},
		{Mount{FSType: "xfs", Source: "/dev/nbd4", Major: 43, Minor: 4}, nil},
		{Mount{FSType: "ext4", Source: "/dev/sda", Major: 8}, nil},
		{Mount{FSType: "tmpfs"}, nil},
	} {
		got := k.hidden(c.m)
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] {
			t.Errorf("%+v: got %q, want %q", c.m, got, c.want)
		}
	}
}

// TestContinueOnErrorsIsRefused: the default of mkfs.ext4 shows in no mount table.
func TestContinueOnErrorsIsRefused(t *testing.T) {
	dir := ext4(t)
	if f := one(t, Config{Expect: []Expect{{Path: dir}}}); f.Kind != OK {
		t.Errorf("remount-ro by the superblock: got %+v", f)
	}
	command(t, "mount", "-o", "remount,errors=continue", dir)
	if f := one(t, Config{Expect: []Expect{{Path: dir}}}); f.Kind != Wrong {
		t.Errorf("got %+v, want wrong", f)
	}
	if f := one(t, Config{Expect: []Expect{{Path: dir, Require: []string{"errors=continue"}}}}); f.Kind != OK {
		t.Errorf("required: got %+v", f)
	}
}

// TestDebugWithoutAMount: what a block device's driver tells there is read where nobody has mounted it.
func TestDebugWithoutAMount(t *testing.T) {
	if err := CanHearErrors(); err != nil {
		t.Skipf("not the root of this machine: %v", err)
	}
	if got := readDebug("percpu_stats"); got == "" {
		t.Error("nothing is read")
	}
	if got := readDebug("nbd/none/timeout"); got != "" {
		t.Errorf("got %q of nothing", got)
	}
	if !TimeoutKnown(Mount{FSType: "ext4", Source: "/dev/sda"}) {
		t.Error("a disk has no timeout to be known")
	}
}
