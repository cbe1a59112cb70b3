package lifecycle

import (
	"testing"

	"github.com/interlock-run/interlock/mountcheck"
)

// The watch tells of a change a moment later than it happens: whether what would be synced is still the
// mount that the payload ran on is read from the table itself.
func TestLostMountIsReadFromTheTable(t *testing.T) {
	r := &Runner{plan: Plan{Mounts: mountcheck.Config{Expect: []mountcheck.Expect{{Path: "/proc"}}}}}
	r.traceBases()
	paths := r.drainPaths()
	if lost := r.lostMount(paths); len(paths) != 1 || lost != "" {
		t.Fatalf("paths %q, lost %q: expected /proc, and that it is there", paths, lost)
	}
	base := r.domain.drain.bases["/proc"]
	for name, change := range map[string]func(*mountcheck.Mount){
		"another mount of the same place": func(m *mountcheck.Mount) { m.ID++ },
		"an id that was used again":       func(m *mountcheck.Mount) { m.Unique++ },
		"only its directory":              func(m *mountcheck.Mount) { m.Point = "/" },
	} {
		other := base
		change(&other)
		r.domain.drain.bases["/proc"] = other
		if lost := r.lostMount(paths); lost != "/proc" {
			t.Errorf("%s: lost %q", name, lost)
		}
	}
	if lost := r.lostMount([]string{"/sys"}); lost != "/sys" {
		t.Errorf("a mount that nobody traced: lost %q", lost)
	}
}
