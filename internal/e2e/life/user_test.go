package life

import (
	"os/user"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

const identity = `id -u; id -g; id -G; grep ^Uid /proc/self/status; grep ^CapEff /proc/self/status`

// The payload, and it alone, runs as the user that was asked for, without a capability left.
func TestUser(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	nobody, err := user.Lookup("nobody")
	if err != nil {
		testkit.Skip(t, "nobody", err.Error())
	}
	group, err := user.LookupGroupId(nobody.Gid)
	if err != nil {
		t.Fatal(err)
	}
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		for i, c := range []struct{ spec, uid, gid, groups string }{
			{"4242", "4242", "4242", "4242"}, // no entry in the passwd file
			{"4242:4343", "4242", "4343", "4343"},
			{nobody.Uid + ":4343", nobody.Uid, "4343", "4343 " + nobody.Gid},
			{"nobody", nobody.Uid, nobody.Gid, nobody.Gid},
			{"nobody:" + group.Name, nobody.Uid, nobody.Gid, nobody.Gid},
			{"4242:" + group.Name, "4242", nobody.Gid, nobody.Gid},
		} {
			a := s.Run(t, "u"+string(rune('a'+i)), isolate, scene.Command("sh", "-c", identity), scene.Flags("--user", c.spec))
			a.Expect(t, limit, 0)
			f := strings.Split(a.Stdout(t), "\n")
			want := []string{c.uid, c.gid, c.groups, "Uid:" + strings.Repeat("\t"+c.uid, 4), "CapEff:\t0000000000000000", ""}
			if strings.Join(f, "\n") != strings.Join(want, "\n") {
				t.Errorf("--user %s: %q: expected %q", c.spec, f, want)
			}
		}
	})
}

// Without the right to change, the payload does not start as somebody else.
func TestUserWithoutTheRight(t *testing.T) {
	t.Parallel()
	s := calm(t)
	a := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged), scene.Flags("--user", "0"))
	a.Expect(t, limit, 126)
	if s.Count(t, "begin") != 0 {
		t.Error("the payload ran")
	}
}
