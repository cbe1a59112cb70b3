package snapshots

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/store/storetest"
	"github.com/interlock-run/interlock/internal/testkit"
)

// viaProxy is inS3 with the test's proxy on the way.
func viaProxy(t *testing.T) (*place, *storetest.Proxy) {
	t.Helper()
	s := testkit.S3(t, testkit.S3Options{})
	s.Bucket(t, bucket)
	proxy := storetest.NewProxy(t, storetest.Server{Endpoint: s.Endpoint(), AccessKey: s.AccessKey, SecretKey: s.SecretKey, Region: s.Region})
	p := &place{dir: filepath.Join(s.Dir(), bucket, "db"), home: t.TempDir()}
	p.flags, p.env = s.Flags("s3://"+bucket+"/db", proxy.Endpoint()), s.Env(p.home)
	return p, proxy
}

const always = 1 << 30

// TestUnfenced: a server, or a way to it, that ignores conditional writes is refused unless that is allowed by name.
func TestUnfenced(t *testing.T) {
	t.Parallel()
	p, proxy := viaProxy(t)
	proxy.Next(always, storetest.Puts, storetest.IgnoreCondition)
	p.ends(t, 78, "--allow-unfenced", "store", "init")
	if _, err := os.Lstat(filepath.Join(p.dir, "interlock.json")); !os.IsNotExist(err) {
		t.Errorf("a repository was made all the same (%v)", err)
	}
	for flag, want := range map[string]int{"--json": 78, "--allow-unfenced": 0} {
		if code, out, _ := p.run(t, "store", "doctor", flag); code != want || !strings.Contains(out, "If-None-Match") && !strings.Contains(out, "only one") {
			t.Errorf("doctor %s: %d %s", flag, code, out)
		}
	}
	if _, _, stderr := p.run(t, "store", "init", "--allow-unfenced"); !strings.Contains(stderr, "ignores conditional writes") {
		t.Errorf("it was taken without a word: %s", stderr)
	}
	p.ok(t, "backup", "--data", tree(t, filepath.Join(p.home, "data")))
}

// TestLostReplies: the store did what it was asked and the answer was lost, at each step of a backup; it is
// published once, and whole.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	p, proxy := viaProxy(t)
	data, _ := filled(t, p)
	for i, wanted := range []string{".pack", "manifest.zst", "00000000000000000002", "00000000000000000003", "00000000000000000004"} {
		change(t, data, i)
		proxy.Next(1, storetest.Below(wanted, storetest.Puts), storetest.LoseReply)
		p.ok(t, "backup", "--data", data)
	}
	if n := len(p.list(t)); n != 6 {
		t.Errorf("%d snapshots, want 6", n)
	}
	p.ok(t, "verify", "--all")
}

// TestTruncated: a reply that ends early, once, is asked for again; a byte that flipped on the way is no damage of
// the store's.
func TestTruncated(t *testing.T) {
	t.Parallel()
	p, proxy := viaProxy(t)
	data, _ := filled(t, p)
	for name, fault := range map[string]storetest.Fault{"short": storetest.Truncate(1000), "flipped": storetest.Flip, "busy": storetest.Refuse(503, "SlowDown")} {
		proxy.Next(1, storetest.Below(".pack", storetest.Gets), fault)
		to := filepath.Join(p.home, name)
		p.ok(t, "restore", "--to", to)
		same(t, data, to)
		proxy.Next(1, storetest.Below(".pack", storetest.Gets), fault)
		p.ok(t, "verify")
	}
	if p.list(t)[0].Damaged != "" {
		t.Error("marked as damaged")
	}
}
