package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// The tokens of every lock order a repository's commits, and the last snapshot is under the last token.
func TestLocks(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*vault) string{
		"file": func(v *vault) string { return v.Lock },
		"etcd": func(v *vault) string {
			return "etcd://" + testkit.SharedEtcd(t).Addr() + "/interlock/" + filepath.Base(v.Dir)
		},
		"zookeeper": func(v *vault) string {
			return "zk://" + testkit.SharedZooKeeper(t).Addr() + "/interlock/" + filepath.Base(v.Dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := inDirectory(t)
			v.Lock = url(v)
			if name != "file" {
				if code, _, errs := scene.Interlock(t, "lock", "init", "--lock", v.Lock); code != 0 {
					t.Fatalf("lock init: %d: %s", code, errs)
				}
			}
			v.node(t, "a").firstStart(t)
			b := v.node(t, "b")
			j := b.serves(t, saving())
			token := b.tokens(t)[len(b.tokens(t))-1]
			j.Stop(t)
			code, out := v.verb(t, "snapshots", "--json")
			if code != 0 || !strings.Contains(out, token) || len(v.snapshots(t)) != 2 {
				t.Errorf("%d: %s: expected one under token %s", code, out, token)
			}
			foreign := v.node(t, "c")
			foreign.Lock = "file://" + filepath.Join(v.Dir, "another-kind")
			foreign.start(t).Expect(t, limit, 78)
		})
	}
}

// A dump is piped into the user's own command, which gets no key; one that fails is repeated, and nothing
// is started on what it left.
func TestDumpIsPiped(t *testing.T) {
	t.Parallel()
	v := inS3(t)
	a, b := v.node(t, "a"), v.node(t, "b")
	j := a.serves(t, scene.Flags("--restore-on-empty", "start", "--backup-schedule", "1s", "--backup-keep-last", "2",
		"--backup-exec", fmt.Sprintf(`["sh","-c","cat %s/tokens; echo the end"]`, a.Data)))
	counts(t, j, "published", 1)
	j.Stop(t)

	reason := b.start(t).Expect(t, limit, 73) // how, nobody said
	if !strings.Contains(reason, "restore.exec") {
		t.Errorf("reason %q", reason)
	}
	load := func(then string) scene.Option {
		return scene.Flags("--restore-exec", fmt.Sprintf(`["sh","-c","env > %s/env; cat > %s/tokens; %s"]`, v.Dir, b.Data, then))
	}
	b.start(t, load("exit 3")).Expect(t, limit, 73)
	if got := b.tokens(t); len(got) == 0 {
		t.Errorf("tokens %v: the command was to leave something", got)
	}
	j = b.start(t, load("true"))
	if got := b.noted(t, j); len(got) != 4 || got[1] != "the" || got[2] != "end" {
		t.Errorf("tokens %v", got)
	}
	raw, err := os.ReadFile(filepath.Join(v.Dir, "env"))
	if err != nil || strings.Contains(string(raw), v.s3.SecretKey) || !strings.Contains(string(raw), "INTERLOCK_TOKEN=") {
		t.Errorf("the command has %s (%v)", raw, err)
	}
	j.Stop(t)
}

// The lock is lost while the last snapshot is taken: it is killed, and publishes nothing.
func TestLossInTheLastBackup(t *testing.T) {
	t.Parallel()
	v, etcd := contended(t)
	v.node(t, "a").firstStart(t)
	before := v.snapshots(t)
	j := v.node(t, "a").through(etcd).serves(t, saving())
	g := v.hold(t, -1, puts("/"))
	j.Signal(t, syscall.SIGTERM)
	g.wait(t)
	pid := courier(t, j)
	if st, err := j.Status(); err != nil || st.Phase != "saving" || !st.Lock.Held {
		t.Errorf("%+v, %v: expected the lock held while the last snapshot is taken", st, err)
	}
	etcd.Hang()
	gone(t, pid)
	if code := j.Wait(t, limit); code != 143 {
		t.Errorf("ended with %d: %s", code, j.ReasonText())
	}
	g.carryOut()
	if after := v.snapshots(t); len(after) != len(before) {
		t.Errorf("snapshots %v, before %v", after, before)
	}
}

// An encrypted repository takes backups of whoever has its keys to write; only who has an identity restores.
func TestEncryptedRepository(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	v := &vault{Scene: s, url: "file://" + filepath.Join(s.Dir, "store")}
	must(t, os.Mkdir(filepath.Join(s.Dir, "store"), 0o755))
	v.flags = []string{"--store", v.url}
	key, err := age.GenerateX25519Identity()
	must(t, err)
	if code, out := v.verb(t, "store", "init", "--recipient", key.Recipient().String()); code != 0 {
		t.Fatalf("store init: %d: %s", code, out)
	}
	path := filepath.Join(s.Dir, "identity")
	must(t, os.WriteFile(path, []byte(key.String()+"\n"), 0o600))
	v.node(t, "a").firstStart(t)
	b := v.node(t, "b")
	if reason := b.start(t).Expect(t, limit, 77); !strings.Contains(reason, "identity") || b.tokens(t) != nil {
		t.Errorf("reason %q, tokens %v", reason, b.tokens(t))
	}
	j := b.serves(t, scene.Flags("--store-identity-file", path))
	if got := b.tokens(t); len(got) != 2 {
		t.Errorf("tokens %v", got)
	}
	j.Stop(t)
	b.start(t, scene.Flags("--store-identity-file", filepath.Join(s.Dir, "absent"))).Expect(t, limit, 77)
}

// Without any right, and as a container's process 1: the same.
func TestWaysToRun(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(testing.TB, ...string) []string{"unprivileged": testkit.Unprivileged, "pid1": testkit.AsPID1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := inS3(t)
			var before int
			for _, node := range []string{"a", "b"} {
				n := v.node(t, node)
				must(t, os.Chmod(n.Data, 0o777))
				must(t, os.Chmod(filepath.Dir(n.Data), 0o777))
				must(t, os.Chmod(n.Dir, 0o777))
				j := n.serves(t, scene.Wrapped(wrap), scene.Flags("--restore-on-empty", "start"), saving())
				if got := len(n.tokens(t)); got != before+1 {
					t.Errorf("%s has %d tokens, expected %d", node, got, before+1)
				}
				before = len(n.tokens(t))
				scene.Kill(t, j.Guard(t), syscall.SIGTERM)
				j.Wait(t, limit)
				if log := j.Stderr(t); !strings.Contains(log, "backup published") || strings.Contains(log, "level=ERROR msg=\"backup") {
					t.Errorf("%s: %s", node, log)
				}
			}
		})
	}
}
