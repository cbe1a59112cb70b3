package warm

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// A secured is a memcached that a run starts, and how one gets in.
type secured struct {
	argv  []string
	flags []string
	wrong []string // flags with which one does not
	code  int      // that these end a run with
	to    memcached.Server
}

// port is one of loopback that was free just now.
func port(t testing.TB) (address, number string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address = l.Addr().String()
	must(t, l.Close())
	_, number, err = net.SplitHostPort(address)
	must(t, err)
	return address, number
}

func withTLS(t testing.TB, _ string) secured {
	t.Helper()
	pki := testkit.NewPKI(t)
	pair := pki.Issue(t, "memcached")
	address, number := port(t)
	s := secured{argv: []string{"-l", "127.0.0.1", "-p", number, "-Z", "-o", "ssl_chain_cert=" + pair.Cert + ",ssl_key=" + pair.Key},
		flags: []string{"--warm-memcached", address, "--warm-ca", pki.CA()},
		wrong: []string{"--warm-memcached", address, "--warm-ca", testkit.NewPKI(t).CA()}, code: 77, to: warmtest.Server(t, address)}
	s.to.TLS = &memcached.TLS{CA: pki.CA()}
	return s
}

func withUser(t testing.TB, dir string) secured {
	t.Helper()
	users, password, other := filepath.Join(dir, "users"), filepath.Join(dir, "password"), filepath.Join(dir, "other")
	for name, text := range map[string]string{users: "u:secret\n", password: "secret\n", other: "guessed\n"} {
		must(t, os.WriteFile(name, []byte(text), 0o600))
	}
	socket := filepath.Join(dir, "m")
	s := secured{argv: []string{"-s", socket, "-a", "700", "-Y", users}, flags: []string{"--warm-memcached", socket, "--warm-user", "u", "--warm-password-file", password},
		wrong: []string{"--warm-memcached", socket, "--warm-user", "u", "--warm-password-file", other}, code: 77, to: warmtest.Server(t, socket)}
	s.to.User, s.to.Password = "u", "secret"
	return s
}

// A run fills and dumps a memcached that speaks TLS, and one that asks for a password; with another authority or password
// it does neither, and the policy decides.
func TestSecuredService(t *testing.T) {
	const n = 2000
	for name, made := range map[string]func(testing.TB, string) secured{"TLS": withTLS, "password": withUser} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, d, sc := filled(t, n), inDirectory(t), scene.New(t)
			s := made(t, sc.Dir)
			start := func(flags ...string) *scene.Job {
				argv := append([]string{"memcached", "-U", "0", "-m", "128"}, s.argv...)
				if os.Geteuid() == 0 {
					argv = append(argv, "-u", "root")
				}
				return sc.Run(t, "cache", scene.Command(argv...), scene.Flags(append(flags, d.flags...)...))
			}
			d.dump(t, from.Addr())
			j := start(append(s.flags, "--warm-schedule", "1s")...)
			j.WaitPhase(t, limit, "serving")
			if w := statusOf(t, j); w.Result != "warm" || w.Load.Loaded != n {
				t.Errorf("%+v", w)
			}
			if have := warmtest.Same(t, warmtest.Server(t, from.Addr()), s.to, n, warmtest.Mixed); have != n {
				t.Errorf("%d items of %d", have, n)
			}
			published(t, j)
			j.Stop(t)
			start(append(s.wrong, "--warm-if-cold", "stop")...).Expect(t, limit, s.code)
			next := start(s.flags...) // from what the run has dumped
			next.WaitPhase(t, limit, "serving")
			if w := statusOf(t, next); w.Result != "warm" || w.Load.Loaded != n {
				t.Errorf("the dump of the run: %+v", w)
			}
			next.Stop(t)
		})
	}
}
