package zk

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

func beside() lock.Settings {
	s := settings()
	s.Foreign = true
	return s
}

// The twin's name is one that kazoo counts, with the next number, also where the counter wraps; neither
// Curator's mark nor our own queue sees it.
func TestTwinName(t *testing.T) {
	for seq, next := range map[string]string{"0000000007": "0000000008", "2147483647": "-2147483648", "-000000001": "0000000000"} {
		prefix := freshPrefix()
		m, ok := parseMember(prefix + seq)
		if !ok {
			t.Fatalf("%s is no contender", prefix+seq)
		}
		twin := m.twin()
		if twin != twinPrefix(prefix)+next || !strings.HasSuffix(twin, "__lock__"+next) || strings.Contains(twin, "lock-") {
			t.Errorf("the twin of %s is %s", m.name, twin)
		}
		if _, counts := parseMember(twin); counts || !isTwin(twin) {
			t.Errorf("%s counts as a contender of its own", twin)
		}
		if twin < "9999999999" {
			t.Errorf("%s sorts before a number", twin)
		}
	}
}

// Key and twin come and go together; the loss of either is the loss of the lock.
func TestTwin(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	c := stranger(t, server)
	for _, removed := range []string{"none", "key", "twin"} {
		lockPath := freshPath()
		p := held(t, opened(t, "zk://"+server.Addr()+lockPath, beside()))
		have, expected := keys(t, server, lockPath), []string{path.Base(p.key), path.Base(p.twin)}
		if slices.Sort(have); !slices.Equal(have, expected) {
			t.Fatalf("nodes %v, expected %v", have, expected)
		}
		r, err := p.Write(within(t, patient), []byte("one"), lock.Version{})
		r = want(t, r, err, lock.Committed)
		switch removed {
		case "key":
			must(t, c.Delete(p.key, -1))
		case "twin":
			must(t, c.Delete(p.twin, -1))
		default:
			if gone := deletes(p.transaction(nil, r.Version, true)); !slices.Equal(gone, p.nodes()) {
				t.Errorf("the transaction of a release deletes %v, expected %v", gone, p.nodes())
			}
			r, err = p.Release(within(t, patient), []byte("bye"), r.Version)
			want(t, r, err, lock.Committed)
			if left := keys(t, server, lockPath); len(left) != 0 {
				t.Errorf("a release left %v", left)
			}
			continue
		}
		r, err = p.Write(within(t, patient), []byte("two"), r.Version)
		want(t, r, err, lock.KeyGone)
		if _, err := p.Reset(within(t, patient)); err == nil {
			t.Error("a reset proves something without the " + removed)
		}
	}
}

func deletes(t transaction) (nodes []string) {
	for _, op := range t.ops {
		if d, is := op.(*gozk.DeleteRequest); is {
			nodes = append(nodes, d.Path)
		}
	}
	return nodes
}

// A contender that leaves takes both along.
func TestTwinLeaves(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	lockPath := freshPath()
	p := joined(t, opened(t, "zk://"+server.Addr()+lockPath, beside()))
	must(t, p.remove(within(t, patient)))
	if left := keys(t, server, lockPath); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// Contenders of a recipe that does not know our names are refused, foreign peers or not.
func TestUnknownRecipe(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	c := stranger(t, server)
	for _, name := range []string{"0a1b__rlock__", "_c_x-__READ__", "latch-"} {
		lockPath := freshPath()
		_, err := c.Create(lockPath, nil, 0, settingsACL())
		if err != nil {
			must(t, makeParent(c, lockPath))
		}
		key, err := c.Create(lockPath+"/"+name, nil, gozk.FlagEphemeralSequential, settingsACL())
		must(t, err)
		_, err = c.Create(lockPath+"/config", nil, 0, settingsACL())
		must(t, err)
		for _, s := range []lock.Settings{settings(), beside()} {
			refused(t, "zk://"+server.Addr()+lockPath, s, lock.ErrConfig, filepath.Base(key))
		}
		must(t, c.Delete(key, -1))
		joined(t, opened(t, "zk://"+server.Addr()+lockPath, beside()))
	}
}

func makeParent(c *gozk.Conn, lockPath string) error {
	if _, err := c.Create(path.Dir(lockPath), nil, 0, settingsACL()); err != nil && err != gozk.ErrNodeExists {
		return err
	}
	_, err := c.Create(lockPath, nil, 0, settingsACL())
	return err
}

// A proof counts from before the connection was made, however long its handshake took.
func TestProofStamp(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	proxy := testkit.NewProxy(t, server.Addr())
	p := held(t, opened(t, "zk://"+proxy.Addr()+freshPath(), beside()))
	<-time.After(2 * p.d.set.Timing.Heartbeat) // the session's creation is no proof of now any more
	const slow = 150 * time.Millisecond
	proxy.Delay(slow)
	before := clock.Now()
	proof, err := p.Reset(within(t, patient))
	must(t, err)
	if took := clock.Now().HolderSince(before); took < 4*slow {
		t.Fatalf("the proof took %v: this shows nothing", took)
	}
	// The handshake goes there and back, and then the write: what counts from between them counts for two ways.
	if old := clock.Now().HolderSince(proof.From); proof.From.HolderSince(before) < 0 || old < 4*slow {
		t.Errorf("the proof counts for %v only", old)
	}
}

// helloBytes is a server's whole answer to the attaching of a session.
const helloBytes = 4 + helloMax

// A server that attaches the session and then acknowledges nothing may be cut from the quorum.
func TestProofNeedsAcknowledgedWrite(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	proxy := testkit.NewProxy(t, server.Addr())
	p := held(t, opened(t, "zk://"+proxy.Addr()+freshPath(), beside()))
	<-time.After(2 * p.d.set.Timing.Heartbeat)
	proxy.LoseRepliesAfter(helloBytes)
	if proof, err := p.Reset(within(t, patient)); err == nil {
		t.Errorf("without any reply but the handshake's it proves %+v", proof)
	}
	if p.s.known().id == 0 || p.s.why() != nil {
		t.Errorf("the session ended: %v", p.s.why())
	}
	proxy.Pass(t)
	_, err := p.Reset(within(t, patient))
	must(t, err)
}
