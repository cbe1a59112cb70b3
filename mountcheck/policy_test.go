package mountcheck

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

func TestPoliciesByDefault(t *testing.T) {
	for _, k := range ruled() {
		want := Kill
		if k == Full || k == Slow {
			want = Alert
		}
		if got := finding("/srv", k, "").Policy; got != want {
			t.Errorf("%s: got %s, want %s", k, got, want)
		}
	}
	for _, bad := range []string{"absent:alert", "ok:kill", "full", "full:warn", ":kill", "nodata:ignore", "unknown:kill"} {
		if got, err := ParsePolicy([]string{bad}); err == nil {
			t.Errorf("%s: got %v, want an error", bad, got)
		}
	}
	// Not even a rule that was made by other means lets a service write below a missing mount.
	e := Expect{Path: "/srv", Policy: map[Kind]Policy{Absent: Ignore}}
	if f := e.rule(finding("/srv", Absent, "")); !f.Fatal() {
		t.Errorf("got %+v, want it fatal", f)
	}
}

// TestLookByPolicy: the same full mount forbids a start, is a warning, or is nothing.
func TestLookByPolicy(t *testing.T) {
	dir := tmpfs(t, "a")
	for policy, want := range map[Policy]Kind{Kill: Full, Alert: Full, Ignore: OK} {
		e := Expect{Path: dir, Policy: map[Kind]Policy{Full: policy}, Bounds: Bounds{MinFree: 2 << 20}}
		f := one(t, Config{Expect: []Expect{e}})
		_, refused := Refusal([]Finding{f})
		if f.Kind != want || refused != (policy == Kill) {
			t.Errorf("%s: got %+v, refused %v", policy, f, refused)
		}
	}
}

// TestAlertHidesNothing: a finding that ends no run does not keep a worse one from being found.
func TestAlertHidesNothing(t *testing.T) {
	dir := tmpfs(t, "a")
	if err := os.WriteFile(filepath.Join(dir, probe.Sentinel), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := Expect{Path: dir, Volume: "mine", Policy: map[Kind]Policy{ReadOnly: Alert}}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if f := one(t, Config{Expect: []Expect{e}}); f.Kind != Wrong || !f.Fatal() {
		t.Errorf("got %+v, want wrong", f)
	}
	e.Volume = "other"
	if f := one(t, Config{Expect: []Expect{e}}); f.Kind != ReadOnly || f.Policy != Alert {
		t.Errorf("got %+v, want readonly as an alert", f)
	}
}

// TestPolicyWhileRunning: an alert is told, and over when the cause is; the watch goes on.
func TestPolicyWhileRunning(t *testing.T) {
	f := newFaultyFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir, Policy: map[Kind]Policy{Erroring: Alert, Stale: Ignore}}}})
	want(t, w, f.dir, OK)
	f.set(int64(unix.EIO))
	if got := want(t, w, f.dir, Erroring); got.Fatal() {
		t.Errorf("got %+v, want an alert", got)
	}
	f.set(modeOK)
	want(t, w, f.dir, OK)
	f.set(int64(unix.ESTALE))
	quietFor(t, w, 300*time.Millisecond)
}

// TestRecoverAfter: a mount that answers now and then is not taken for a good one.
func TestRecoverAfter(t *testing.T) {
	e := Expect{Path: "/srv", FailAfter: 4 * time.Second, RecoverAfter: 6 * time.Second}
	tg := newTarget(newEnv(Config{}), e)
	defer tg.prober.env.close()
	tg.state.table = finding("/srv", OK, "there")
	start := time.Now()
	for _, s := range []struct {
		at   int
		say  Kind
		want Kind
	}{
		{0, OK, OK}, {2, Erroring, Unknown}, {4, OK, OK}, {6, Erroring, Unknown}, {10, Erroring, Erroring},
		{12, OK, Erroring}, {14, OK, Erroring}, {16, Erroring, Erroring}, {18, OK, Erroring}, {23, OK, Erroring}, {24, OK, OK},
	} {
		now := start.Add(time.Duration(s.at) * time.Second)
		tg.setLife(finding("/srv", s.say, ""), now)
		if got := tg.verdict(now); got.Kind != s.want {
			t.Errorf("second %d: %s answered: got %+v, want %s", s.at, s.say, got, s.want)
		}
	}
}

// TestFullNeedsPatienceWhereItKills: right after its start a MooseFS master says that nothing is free.
func TestFullNeedsPatienceWhereItKills(t *testing.T) {
	e := Expect{Path: "/srv", FailAfter: 4 * time.Second, Policy: map[Kind]Policy{Full: Kill}}
	if !e.patient(Full) || e.patient(Slow) || e.patient(Wrong) || !(Expect{}).patient(Hung) || (Expect{}).patient(Full) {
		t.Error("patience is not with what may get better by itself")
	}
}

func TestBounds(t *testing.T) {
	space := probe.Space{Unit: 4096, Blocks: 1000, Avail: 10, Files: 100, Free: 7}
	for _, c := range []struct {
		bounds Bounds
		space  probe.Space
		lacks  bool
	}{
		{Bounds{}, space, false},
		{Bounds{MinFree: 40960, MinInodes: 7}, space, false},
		{Bounds{MinFree: 40961}, space, true},
		{Bounds{MinInodes: 8}, space, true},
		{Bounds{}, probe.Space{Unit: 4096, Blocks: 1}, true},
		{Bounds{}, probe.Space{Unit: 4096, Blocks: 1, Avail: 1, Files: 1}, true},
		{Bounds{MinFree: 1, MinInodes: 1}, probe.Space{}, false}, // counts neither
		{Bounds{MinFree: 1 << 50}, probe.Space{Unit: 1 << 20, Blocks: 1, Avail: math.MaxUint64}, false},
	} {
		if got := c.bounds.lack(c.space); (got != "") != c.lacks {
			t.Errorf("%+v of %+v: got %q", c.bounds, c.space, got)
		}
	}
}

func TestSlowIsJudgedOnAMedian(t *testing.T) {
	b := Bounds{Latency: 10 * time.Millisecond}
	var p pace
	for i, c := range []struct {
		ms   int
		slow bool
	}{{50, false}, {50, false}, {1, true}, {1, true}, {1, false}, {1, false}, {50, false}, {50, false}, {50, true}} {
		p.add(time.Duration(c.ms) * time.Millisecond)
		if got := b.slow(p); (got != "") != c.slow {
			t.Errorf("probe %d: got %q of %v", i, got, p)
		}
	}
	if len(p) > latencyMost || (Bounds{}).slow(p) != "" {
		t.Errorf("kept %d, and without a bound %q", len(p), (Bounds{}).slow(p))
	}
}

// TestSlowIsFound: a mount that answers, but not in the time that is expected, is an alert in a look and
// in a watch.
func TestSlowIsFound(t *testing.T) {
	e := Expect{Path: tmpfs(t, "a"), Bounds: Bounds{Latency: time.Nanosecond}}
	if f := one(t, Config{Expect: []Expect{e}}); f.Kind != Slow || f.Fatal() || f.Took <= 0 {
		t.Errorf("got %+v, want slow as an alert", f)
	}
	want(t, watch(t, Config{Expect: []Expect{e}}), e.Path, Slow, OK)
}

// TestErrnos: each error number has its place; what is not known is no good sign.
func TestErrnos(t *testing.T) {
	for e, want := range map[unix.Errno]Kind{
		unix.ESTALE: Stale, unix.ENOTCONN: Disconnected, unix.ECONNABORTED: Disconnected, unix.ETIMEDOUT: Erroring,
		unix.ENODEV: Erroring, unix.ENXIO: Erroring, 512: Disconnected, unix.EACCES: Denied, unix.EPERM: Denied,
		unix.EKEYEXPIRED: Denied, unix.EROFS: ReadOnly, unix.ENOSPC: Full, unix.EDQUOT: Full, unix.ENOENT: Wrong,
		unix.EIO: Erroring, unix.EUCLEAN: Erroring, 9999: Erroring, unix.ENOSYS: Erroring, unix.ENOMEM: Unknown,
	} {
		if got := kindOf(e); got != want {
			t.Errorf("%s: got %s, want %s", errnoText(e), got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "4096": 4096, "1KiB": 1024, "10GiB": 10 << 30, "1PiB": 1 << 50} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "KiB", "1GB", "-1", "1.5GiB", "10KiBMiB", fmt.Sprint(uint64(math.MaxUint64)), "99999PiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}
