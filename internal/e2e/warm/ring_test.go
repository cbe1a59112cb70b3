package warm

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A fleet is real servers that a real client (libmemcached, by way of pylibmc) spreads its keys over.
type fleet struct {
	kits []*testkit.MemcachedServer
	d    *depot
}

const fleetKeys = 12_000

func newFleet(t testing.TB, nodes int) *fleet {
	t.Helper()
	const library = "/usr/lib/python3/dist-packages/pylibmc/__init__.py"
	if _, err := os.Stat(library); err != nil {
		testkit.Skip(t, "pylibmc", fmt.Sprintf("the client is not there (Debian: python3-pylibmc): %v", err))
	}
	f := &fleet{d: inDirectory(t)}
	for range nodes {
		f.kits = append(f.kits, fresh(t))
	}
	return f
}

func (f *fleet) names(nodes int) (all []string) {
	for _, kit := range f.kits[:nodes] {
		all = append(all, kit.Addr())
	}
	return all
}

// client runs the client on so many nodes. It gives how many keys have the values of this version, and how many
// those of another.
func (f *fleet) client(t testing.TB, what string, nodes, version int) (right, other int) {
	t.Helper()
	p := testkit.Start(t, "/usr/bin/python3", "testdata/client.py", what, strings.Join(f.names(nodes), ","), itoa(fleetKeys), itoa(version))
	if code := p.Wait(t, limit); code != 0 {
		t.Fatalf("client: %d: %s", code, p.Stderr(t))
	}
	if _, err := fmt.Sscan(p.Stdout(t), &right, &other); err != nil {
		t.Fatal(err)
	}
	return right, other
}

func (f *fleet) dump(t testing.TB, nodes int) {
	t.Helper()
	for _, name := range f.names(nodes) {
		f.d.dump(t, name, "--self", name)
	}
}

// load warms one node of so many with its share of all dumps.
func (f *fleet) load(t testing.TB, node, nodes int) {
	t.Helper()
	words := []string{"warm", "load", "--memcached", f.kits[node].Addr(), "--self", f.kits[node].Addr(), "--ring", "auto"}
	for _, name := range f.names(nodes) {
		words = append(words, "--node", name)
	}
	f.d.want(t, 0, words...)
}

// A ring of three grows to four, and shrinks to three again; a real client reads. The hit rate beside that with a
// cold node, and never an old value for a new one.
func TestRealClientsRing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	f.client(t, "write", 3, 1)
	f.dump(t, 3)
	cold, _ := f.client(t, "read", 4, 1)
	f.load(t, 3, 4)
	warm, _ := f.client(t, "read", 4, 1)
	t.Logf("a ring grows to four: hit rate %.3f with a cold node, %.3f with a warm one", rate(cold), rate(warm))
	if rate(cold) > 0.85 || warm != fleetKeys {
		t.Errorf("%d hits with a cold node, %d with a warm one, of %d", cold, warm, fleetKeys)
	}
	// All is written anew: what three of the nodes have of the fourth one's share is old now.
	f.client(t, "write", 4, 2)
	f.dump(t, 4)
	for _, kit := range f.kits {
		kit.Restart(t)
	}
	for node := range 2 {
		f.load(t, node, 3)
	}
	cold, _ = f.client(t, "read", 3, 2)
	f.load(t, 2, 3)
	warm, old := f.client(t, "read", 3, 2)
	t.Logf("it shrinks to three: hit rate %.3f with a cold node, %.3f with a warm one", rate(cold), rate(warm))
	if rate(cold) > 0.85 || warm != fleetKeys || old != 0 {
		t.Errorf("%d hits with a cold node, %d with a warm one, of %d; %d old values", cold, warm, fleetKeys, old)
	}
}

func rate(hits int) float64 { return float64(hits) / fleetKeys }
