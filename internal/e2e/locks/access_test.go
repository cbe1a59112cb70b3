package locks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A guarded service wants TLS with client certificates, and a user with a password.
type guarded struct {
	rig            *rig
	ca             []string // flags
	cert           []string
	user, password string
}

func (g guarded) flags(t testing.TB) []string {
	t.Helper()
	return append(append(g.login(t, g.password), g.ca...), g.cert...)
}

func (g guarded) login(t testing.TB, password string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	return []string{"--lock-user", g.user, "--lock-password-file", file}
}

func guardedEtcd(t testing.TB) guarded {
	t.Helper()
	s := testkit.Etcd(t, testkit.EtcdOptions{TLS: true, ClientCertAuth: true, Auth: true})
	_, err := s.Ctl("role", "grant-permission", "app", "readwrite", "--prefix=true", "interlock/")
	must(t, err)
	return guarded{onEtcd(t, s, s.Addr()), []string{"--lock-ca", s.CA()}, []string{"--lock-cert", s.Cert(), "--lock-key", s.Key()}, s.App.Name, s.App.Password}
}

func guardedZooKeeper(t testing.TB) guarded {
	t.Helper()
	s := testkit.ZooKeeper(t, testkit.ZKOptions{TLS: true, ClientAuthNeed: true, Super: superuser})
	return guarded{onZooKeeper(t, s, s.TLSAddr()), []string{"--lock-ca", s.CA()}, []string{"--lock-cert", s.Cert(), "--lock-key", s.Key()}, "alice", "wonderland-9471"}
}

// TestGuarded takes a lock over TLS with a client certificate and a password, hands it over, and looks for
// the password everywhere that others can look.
func TestGuarded(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) guarded{"etcd": guardedEtcd, "zk": guardedZooKeeper} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := open(t)
			r := g.rig
			r.Timing = timing("--hold", "8s", "--try-timeout", "1500ms") // passwords are hashed slowly
			refusals(t, g)
			r.initialise(t, append(g.flags(t), r.Timing...)...)
			env := filepath.Join(r.Dir, "environ")
			a := r.Run(t, "a", scene.Flags(g.flags(t)...), r.Payload(t, "-environ", env))
			first, _ := r.serves(t, a, 10*time.Second)
			b := r.Run(t, "b", scene.Flags(g.flags(t)...))
			r.queued(t, 2)
			secretsKept(t, g, a, env)
			stopped(t, a)
			_, at := r.serves(t, b, 10*time.Second)
			atMost(t, "hand-over", at-r.last(t, first), 3*time.Second)
			stopped(t, b)
			r.Judge(t)
			if text := a.Stderr(t) + a.Stdout(t) + a.ReasonText() + b.Stderr(t); contains(text, g.password) {
				t.Error("the password is in the log")
			}
		})
	}
}

// secretsKept looks where others can: the payload's environment, everybody's arguments, the status page.
func secretsKept(t *testing.T, g guarded, a *scene.Job, env string) {
	t.Helper()
	vars := readFile(t, env)
	says(t, vars, "INTERLOCK_LOCK="+g.rig.Lock+"\n", "INTERLOCK_TOKEN=", "INTERLOCK_HOLDER=a\n")
	for line := range strings.Lines(vars) {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "INTERLOCK_LOCK", "INTERLOCK_TOKEN", "INTERLOCK_HOLDER", "INTERLOCK_PAYLOAD_PID":
		default:
			if strings.HasPrefix(name, "INTERLOCK_") {
				t.Errorf("the payload got %s", name)
			}
		}
	}
	places := map[string]string{"the payload's environment": vars}
	for _, pid := range append(testkit.Descendants(a.Pid()), a.Pid()) {
		for _, file := range []string{"cmdline", "environ"} {
			at := fmt.Sprintf("/proc/%d/%s", pid, file)
			places[at] = readFile(t, at)
		}
	}
	for _, page := range []string{"/status", "/metrics"} {
		_, body, err := a.Get(page)
		must(t, err)
		places[page] = body
	}
	for where, text := range places {
		if contains(text, g.password) {
			t.Errorf("the password is in %s", where)
		}
	}
}

// refusals: each ends at once although the wait is forever, and says what to look at.
func refusals(t *testing.T, g guarded) {
	t.Helper()
	r := g.rig
	stranger := testkit.NewPKI(t)
	with := func(lists ...[]string) []string {
		var all []string
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	right := g.login(t, g.password)
	theirs := stranger.Issue(t, "app")
	for _, c := range []struct {
		name  string
		flags []string
		codes []int
		says  []string
	}{
		{"no-certificate", with(right, g.ca), []int{77}, []string{"--lock-cert"}},
		{"foreign-certificate", with(right, g.ca, []string{"--lock-cert", theirs.Cert, "--lock-key", theirs.Key}), []int{77}, []string{"--lock-cert"}},
		{"wrong-ca", with(right, g.cert, []string{"--lock-ca", stranger.CA(), "--lock-wait", "3s"}), []int{69, 78}, []string{"tls", "--lock-ca"}},
		{"no-such-ca", with(right, g.cert, []string{"--lock-ca", "/no/such/ca.pem"}), []int{78}, []string{"/no/such/ca.pem"}},
	} {
		began := scene.Now()
		j := r.Run(t, c.name, scene.Flags(c.flags...))
		code := j.Wait(t, 15*time.Second)
		if code != c.codes[0] && code != c.codes[len(c.codes)-1] {
			t.Errorf("%s: %d (%s), expected %v", c.name, code, j.ReasonText(), c.codes)
		}
		says(t, strings.ToLower(j.ReasonText()), c.says...)
		atMost(t, c.name, scene.Now()-began, 7*time.Second)
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	s := testkit.Etcd(t, testkit.EtcdOptions{Auth: true})
	r := onEtcd(t, s, s.Addr())
	r.Timing = timing("--hold", "8s", "--try-timeout", "1500ms")
	g := guarded{user: s.App.Name}
	for name, c := range map[string]struct {
		flags []string
		says  string
	}{
		"wrong-password": {g.login(t, "not-it"), "wrong user or password"},
		"no-password":    {nil, "--lock-user"},
		"no-right":       {g.login(t, s.App.Password), "grant-permission"}, // App's role is for another prefix
	} {
		began := scene.Now()
		why := r.Run(t, name, scene.Flags(c.flags...)).Expect(t, 15*time.Second, 77)
		says(t, why, c.says)
		atMost(t, name, scene.Now()-began, 7*time.Second)
		code, _, errs := scene.Interlock(t, append([]string{"lock", "show", "--lock", r.Lock}, c.flags...)...)
		if code != 77 {
			t.Errorf("lock show: %d, %s", code, errs)
		}
	}
}

// A path of ZooKeeper that belongs to somebody else by its ACL.
func TestForeignACL(t *testing.T) {
	t.Parallel()
	r := zkBackend().fresh(t, "")
	z := r.service.(zkService)
	z.parent(t)
	_, err := z.conn.Create(z.path, nil, 0, zk.DigestACL(zk.PermAll, "carol", "hers"))
	must(t, err)
	began := scene.Now()
	g := guarded{user: "alice"}
	why := r.Run(t, "alice", scene.Flags(g.login(t, "his")...)).Expect(t, 10*time.Second, 77)
	says(t, why, "alice", z.path)
	why = r.Run(t, "nobody").Expect(t, 10*time.Second, 77)
	says(t, why, "--lock-user")
	atMost(t, "both refusals", scene.Now()-began, 6*time.Second)
	carol := guarded{user: "carol"}
	r.initialise(t, carol.login(t, "hers")...)
	a := r.Run(t, "carol", scene.Flags(carol.login(t, "hers")...))
	r.serves(t, a, 5*time.Second)
	stopped(t, a)
	if len(r.Judge(t)) != 1 {
		t.Error("expected one tenure, carol's")
	}
}
