package mountcheck

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLooksDoNotPileUp: who looks again and again at a hung mount leaves one process there, and sees it come free.
func TestLooksDoNotPileUp(t *testing.T) {
	f := newFaultyFS(t)
	c := Config{Expect: []Expect{{Path: f.dir}}, Timeout: 100 * time.Millisecond}
	f.set(modeHang)
	for i := range 5 {
		got := one(t, c)
		left := children(t)
		if got.Kind != Hung || len(left) != 1 {
			t.Fatalf("look %d: got %+v, helpers %v", i, got, left)
		}
		if i > 0 && !strings.Contains(got.Detail, "pid "+strconv.Itoa(left[0])) {
			t.Errorf("look %d does not name %d: %+v", i, left[0], got)
		}
	}
	w := watch(t, c)
	want(t, w, f.dir, Hung)
	if left := children(t); len(left) != 1 {
		t.Errorf("helpers %v beside a watch", left)
	}
	f.set(modeOK)
	want(t, w, f.dir, OK)
}

// TestHelpersOfOthersAreNotHeld: one that is alive, asks another mount, or has ended, is in nobody's way.
func TestHelpersOfOthersAreNotHeld(t *testing.T) {
	f, other := newFaultyFS(t), tmpfs(t, "other")
	w := watch(t, Config{Expect: []Expect{{Path: f.dir}}, Timeout: time.Second})
	want(t, w, f.dir, OK)
	if all := heldOn(f.dir); len(all) != 0 {
		t.Errorf("a living helper is held: %v", all)
	}
	f.set(modeHang)
	want(t, w, f.dir, Hung)
	eventually(t, "the killed helper", func() bool { all := heldOn(f.dir); return len(all) == 1 && !all[0].gone() })
	if got := one(t, Config{Expect: []Expect{{Path: other}}}); got.Kind != OK {
		t.Errorf("another mount: got %+v", got)
	}
	f.set(modeOK)
	want(t, w, f.dir, OK)
	if all := heldOn(f.dir); len(all) != 0 {
		t.Errorf("got %v after its end", all)
	}
}

// TestAHelperThatEndsWhileItIsLookedForIsGone: else its mount would be called hung as long as the watch lasts.
func TestAHelperThatEndsWhileItIsLookedForIsGone(t *testing.T) {
	const none = 1 << 30 // above the kernel's largest number
	if h := (held{pid: none, start: startOf(none)}); !h.gone() {
		t.Errorf("%+v is held to be there", h)
	}
}

// TestAHelperForkedAheadIsFound: by what it has open, since nobody knew its mount when it was forked.
func TestAHelperForkedAheadIsFound(t *testing.T) {
	f := newFaultyFS(t)
	c := Config{Expect: []Expect{{Path: f.dir}}, Timeout: 100 * time.Millisecond}
	pid := ahead(t)
	f.set(modeHang)
	for range 3 {
		if got := one(t, c); got.Kind != Hung {
			t.Fatalf("got %+v", got)
		}
	}
	if left := children(t); len(left) != 1 || left[0] != pid {
		t.Errorf("helpers %v, expected %d alone", left, pid)
	}
	f.set(modeOK)
	eventually(t, "its end", func() bool { return len(children(t)) == 0 })
}
