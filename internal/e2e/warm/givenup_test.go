package warm

import (
	"strings"
	"testing"

	"github.com/interlock-run/interlock/warm/warmtest"
)

// A server that cuts each of its lists off is one that is not available: no dump is made of half a list.
func TestListGivenUp(t *testing.T) {
	t.Parallel()
	d := inDirectory(t)
	torn := warmtest.Middle(t, filled(t, 1000), func(_ int, text string) string { return text[:len(text)/2] })
	p := d.start(t, "warm", "dump", "--memcached", torn.Address, "--scratch", d.scratch)
	if code := p.Wait(t, limit); code != 69 || !strings.Contains(p.Stderr(t), "given up after 5 tries") {
		t.Errorf("%d, want 69: %s", code, p.Stderr(t))
	}
	if got := d.snapshots(t); got != 0 {
		t.Errorf("%d dumps", got)
	}
}
