package etcd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

func as(s lock.Settings, u testkit.User) lock.Settings {
	s.User, s.Password = u.Name, u.Password
	return s
}

// TestAuth: right, wrong and no password, an unknown user, and a user whose role gives no right here.
func TestAuth(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{Auth: true})
	good := as(settings(t, 5*time.Second), s.App)
	d := open(t, good, "/interlock/auth", s.Addr())
	p := hold(t, d)
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	mustDiagnose(t, d, ok, "may read and write")
	for _, c := range []struct {
		name string
		set  lock.Settings
		lock string
		says []string
	}{
		{"wrong password", as(good, testkit.User{Name: "app", Password: "wrong"}), "/interlock/auth", []string{`"app"`, "password"}},
		{"unknown user", as(good, testkit.User{Name: "nobody", Password: "x"}), "/interlock/auth", []string{`"nobody"`}},
		{"no user", settings(t, 5*time.Second), "/interlock/auth", []string{"--lock-user"}},
		{"no right", good, "elsewhere", []string{`"app"`, `"elsewhere"`, "--prefix elsewhere", "readwrite"}},
	} {
		other := open(t, c.set, c.lock, s.Addr())
		_, err := other.Join(bounded(t))
		if !errors.Is(err, lock.ErrCredentials) {
			t.Errorf("%s: Join gave %v, expected ErrCredentials", c.name, err)
			continue
		}
		t.Log(c.name+":", err)
		for _, part := range c.says {
			if !contains(err.Error(), part) {
				t.Errorf("%s: the message does not say %s: %v", c.name, part, err)
			}
		}
		if _, err := other.View(bounded(t)); !errors.Is(err, lock.ErrCredentials) {
			t.Errorf("%s: View gave %v, expected ErrCredentials", c.name, err)
		}
		mustDiagnose(t, other, fail, "etcd")
	}
	release(t, p, "bye", v, lock.Committed)
}

// TestShortTokens: tokens that run out between two heartbeats do not cost a heartbeat.
func TestShortTokens(t *testing.T) {
	jwt := jwtOptions(t)
	for name, o := range map[string]testkit.EtcdOptions{
		"simple": {Auth: true, AuthTokenTTL: time.Second},
		"jwt":    {Auth: true, Extra: []string{"--auth-token", jwt}},
	} {
		t.Run(name, func(t *testing.T) {
			s := testkit.Etcd(t, o)
			set := as(settings(t, 20*time.Second), s.App)
			set.Timing.TryTimeout = 4 * time.Second // a password hash on a busy machine
			d := open(t, set, "/interlock/tokens", s.Addr())
			p := hold(t, d)
			v := write(t, p, "one", lock.Version{}, lock.Committed).Version
			first, _ := d.(*driver).login.current()
			for range 2 {
				rest(bounded(t), 2500*time.Millisecond) // the life of a token is real time at the server
				v = write(t, p, "more", v, lock.Committed).Version
			}
			if now, _ := d.(*driver).login.current(); now == first {
				t.Error("the first token is still in use: this showed nothing")
			}
			release(t, p, "bye", v, lock.Committed)
		})
	}
}

func jwtOptions(t *testing.T) string {
	t.Helper()
	pair := testkit.NewPKI(t).Issue(t, "jwt")
	pub := filepath.Join(t.TempDir(), "pub.pem")
	if err := os.WriteFile(pub, publicKey(t, pair.Cert), 0o600); err != nil {
		t.Fatal(err)
	}
	return "jwt,pub-key=" + pub + ",priv-key=" + ecKey(t, pair.Key) + ",sign-method=ES256,ttl=1s"
}

// TestRolesChanged: a token that is older than a change of users or roles does not cost a heartbeat.
func TestRolesChanged(t *testing.T) {
	long := strings.Replace(jwtOptions(t), "ttl=1s", "ttl=10m", 1)
	s := testkit.Etcd(t, testkit.EtcdOptions{Auth: true, Extra: []string{"--auth-token", long}})
	set := as(settings(t, 20*time.Second), s.App)
	set.Timing.TryTimeout = 4 * time.Second
	d := open(t, set, "/interlock/roles", s.Addr())
	p := hold(t, d)
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	first, _ := d.(*driver).login.current()
	ctl(t, s, "role", "add", "other")
	write(t, p, "two", v, lock.Committed)
	if now, _ := d.(*driver).login.current(); now == first {
		t.Error("the first token is still in use: this showed nothing")
	}
}

// TestAuthSwitchedOn: authentication that is switched on while we hold costs nothing, if we have a user.
func TestAuthSwitchedOn(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{})
	d := open(t, as(settings(t, 20*time.Second), testkit.User{Name: "root", Password: "pw"}), "switched", s.Addr())
	p := hold(t, d)
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	plain := hold(t, open(t, settings(t, 20*time.Second), "plain", s.Addr()))
	next := awaiting(t, join(t, open(t, as(settings(t, 3*time.Second), testkit.User{Name: "root", Password: "pw"}), "switched", s.Addr())))
	for _, line := range []string{"user add root:pw", "role add root", "user grant-role root root", "auth enable"} {
		ctl(t, s, strings.Fields(line)...)
	}
	v = write(t, p, "two", v, lock.Committed).Version
	if err := p.KeepAlive(bounded(t)); err != nil {
		t.Errorf("keep-alive: %v", err)
	}
	r, err := plain.Write(bounded(t), []byte("x"), lock.Version{})
	if r.Outcome != lock.Ambiguous || !errors.Is(err, lock.ErrCredentials) {
		t.Errorf("without a user: outcome %d with %v, expected an ambiguous one with ErrCredentials", r.Outcome, err)
	}
	release(t, p, "bye", v, lock.Committed)
	if err := testkit.Recv(t, limit, "the grant", next); err != nil {
		t.Fatal(err)
	}
}

// TestTLS: a client certificate is enough, its common name is the user; what is wrong with a certificate
// is said.
func TestTLS(t *testing.T) {
	s := testkit.Etcd(t, testkit.EtcdOptions{TLS: true, ClientCertAuth: true, Auth: true})
	files := lock.TLSFiles{CA: s.CA(), Cert: s.Cert(), Key: s.Key()}
	with := func(f lock.TLSFiles) lock.Settings {
		set := settings(t, 5*time.Second)
		set.TLS = f
		return set
	}
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	p := hold(t, open(t, with(files), "/interlock/tls", "localhost:"+port))
	v := write(t, p, "one", lock.Version{}, lock.Committed).Version
	foreign := testkit.NewPKI(t)
	stranger := foreign.Issue(t, "app")
	for _, c := range []struct {
		name string
		set  lock.Settings
		lock string
		want error
		says string
	}{
		{"wrong authority", with(lock.TLSFiles{CA: foreign.CA(), Cert: files.Cert, Key: files.Key}), "/interlock/tls", lock.ErrUnreachable, "--lock-ca"},
		{"no certificate", with(lock.TLSFiles{CA: files.CA}), "/interlock/tls", lock.ErrCredentials, "--lock-cert"},
		{"stranger's certificate", with(lock.TLSFiles{CA: files.CA, Cert: stranger.Cert, Key: stranger.Key}), "/interlock/tls", lock.ErrCredentials, "--lock-cert"},
		{"no TLS", with(lock.TLSFiles{}), "/interlock/tls", lock.ErrUnreachable, "TLS"},
		{"no right", with(files), "elsewhere", lock.ErrCredentials, files.Cert},
	} {
		_, err := open(t, c.set, c.lock, s.Addr()).Join(bounded(t))
		if !errors.Is(err, c.want) || !contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: Join gave %v, expected %v with %s", c.name, err, c.want, c.says)
		}
		t.Log(c.name+":", err)
	}
	release(t, p, "bye", v, lock.Committed)
}

// TestNoTLSHere: TLS towards a server without it is said.
func TestNoTLSHere(t *testing.T) {
	s, name := testkit.SharedEtcd(t), fresh(t)
	set := settings(t, 5*time.Second)
	set.TLS.CA = testkit.NewPKI(t).CA()
	_, err := open(t, set, name, s.Addr()).Join(bounded(t))
	if !errors.Is(err, lock.ErrUnreachable) || !contains(fmt.Sprint(err), "--lock-ca") {
		t.Errorf("Join gave %v, expected ErrUnreachable with --lock-ca", err)
	}
	t.Log(err)
}
