package vault

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// contended is a vault in S3 under a lock in etcd; holder a reaches it through the proxy.
func contended(t *testing.T) (v *vault, etcd *testkit.Proxy) {
	t.Helper()
	v = inS3(t)
	server := testkit.SharedEtcd(t)
	etcd = testkit.NewProxy(t, server.Addr())
	v.Lock = "etcd://" + server.Addr() + "/interlock/" + filepath.Base(v.Dir)
	if code, _, errs := scene.Interlock(t, "lock", "init", "--lock", v.Lock); code != 0 {
		t.Fatalf("lock init: %d: %s", code, errs)
	}
	return v, etcd
}

// through is the same node with the lock service behind a proxy.
func (n *node) through(p *testkit.Proxy) *node {
	s := *n.Scene
	s.Lock = "etcd://" + p.Addr() + "/interlock/" + filepath.Base(n.v.Dir)
	return &node{&s, n.v, n.name}
}

// A holder that is cut off in the middle of an upload is killed with its courier, within its own lease, and
// the next holder claims the store. What is left of the upload in the network arrives after that, and
// publishes nothing: not the snapshot's own objects, and not the commit.
func TestDeposedHolderPublishesNothing(t *testing.T) {
	for name, part := range map[string]string{"in the upload": "/snap/", "at the commit": "/catalog/"} {
		for _, stopped := range []bool{false, true} {
			if stopped {
				name += ", courier stopped"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				v, etcd := contended(t)
				v.node(t, "a").firstStart(t)
				before := v.snapshots(t)
				a, b := v.node(t, "a").through(etcd), v.node(t, "b")
				ja := a.serves(t, every("1s"))
				g := v.hold(t, -1, puts(part))
				g.wait(t)
				pid := courier(t, ja)
				if stopped {
					scene.Kill(t, pid, syscall.SIGSTOP)
				}
				v.proxyFor(t, b)
				jb := b.start(t)
				etcd.Hang()
				if took := gone(t, pid); took > scene.Hold+time.Second {
					t.Errorf("the courier lived on for %v: its lease is %v", took, scene.Hold)
				}
				ja.Expect(t, limit, 76)
				if got := b.noted(t, jb); slices.Contains(got, "x") || len(got) < 2 {
					t.Errorf("tokens %v after the failover", got)
				}
				g.carryOut()
				if after := v.snapshots(t); !slices.Equal(after, before) {
					t.Errorf("snapshots %v, before %v: a deposed holder has published", after, before)
				}
				jb.Stop(t)
				if code, out := v.verb(t, "verify"); code != 0 {
					t.Errorf("verify: %d: %s", code, out)
				}
			})
		}
	}
}

// proxyFor gives a node a way to the store that is not the held one.
func (v *vault) proxyFor(t testing.TB, n *node) {
	t.Helper()
	own := *v
	own.flags = own.direct()
	n.v = &own
}

// The token alone must hold, too: the lock is in two services at once, as after a restore of one of them
// from a backup, so nobody is told of a loss. The commit of the first holder is on its way while the second
// one claims the store: it publishes nothing, and ends by that.
func TestTokenAloneFences(t *testing.T) {
	t.Parallel()
	v, etcd := contended(t)
	v.node(t, "a").firstStart(t)
	before := v.snapshots(t)
	ja := v.node(t, "a").through(etcd).serves(t, every("1s"))
	g := v.hold(t, 1, puts("/catalog/"))
	g.wait(t)

	b := v.node(t, "b")
	v.proxyFor(t, b)
	b.Lock = "etcd://" + testkit.Etcd(t, testkit.EtcdOptions{}).Addr() + "/interlock/" + filepath.Base(v.Dir)
	jb := b.serves(t, scene.Flags("--token-epoch", "1"))
	if st, err := ja.Status(); err != nil || st.Phase != "serving" {
		t.Fatalf("%+v, %v: a was to know of nothing", st, err)
	}
	g.carryOut()
	if reason := ja.Expect(t, limit, 76); !strings.Contains(reason, "fenced off") {
		t.Errorf("reason %q", reason)
	}
	if after := v.snapshots(t); !slices.Equal(after, before) {
		t.Errorf("snapshots %v, before %v: a has published under an older token", after, before)
	}
	jb.Stop(t)
}
