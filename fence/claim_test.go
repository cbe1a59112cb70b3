package fence

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/durable"
)

func claim(token Token, holder string) Claim {
	return Claim{
		V: ClaimVersion, Token: token, Holder: holder, Node: "n1", BootID: "b1", Lock: "etcd://e/orders",
		Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func stateDir(t *testing.T) string { return filepath.Join(t.TempDir(), ".interlock") }

func TestClaimIsReadBackAsWritten(t *testing.T) {
	dir := stateDir(t)
	token, err := NewToken(3, 1<<RawBits-1) // more than 53 bits
	if err != nil {
		t.Fatal(err)
	}
	want := claim(token, "pod \"1\"\n/x")
	if err := WriteClaim(dir, want); err != nil {
		t.Fatal(err)
	}
	got, found, err := ReadClaim(dir)
	if err != nil || !found || got != want {
		t.Fatalf("read %+v, %v, %v: expected %+v", got, found, err, want)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("state directory: %v %v: expected mode 0700", info, err)
	}
}

func TestWriteClaimKeepsTheOrder(t *testing.T) {
	other := claim(9, "a")
	other.Lock = "etcd://e/other"
	for name, c := range map[string]struct {
		next Claim
		want error
	}{
		"later":                 {claim(6, "b"), nil},
		"same holder once more": {claim(5, "a"), nil},
		"earlier":               {claim(4, "b"), ErrDeposed},
		"same token of another": {claim(5, "b"), ErrDeposed},
		"other lock":            {other, ErrOtherLock},
	} {
		t.Run(name, func(t *testing.T) {
			dir, first := stateDir(t), claim(5, "a")
			if err := WriteClaim(dir, first); err != nil {
				t.Fatal(err)
			}
			err := WriteClaim(dir, c.next)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v: expected %v", err, c.want)
			}
			expect := first
			if c.want == nil {
				expect = c.next
			}
			got, _, err := ReadClaim(dir)
			if err != nil || got != expect {
				t.Fatalf("there is %+v, %v: expected %+v", got, err, expect)
			}
		})
	}
}

func TestDeposedNamesBothTokensAndWho(t *testing.T) {
	dir := stateDir(t)
	if err := WriteClaim(dir, claim(77, "pod-b")); err != nil {
		t.Fatal(err)
	}
	err := WriteClaim(dir, claim(76, "pod-a"))
	for _, part := range []string{"77", "76", "pod-b", "n1", "2026-01-02T03:04:05Z", filepath.Join(dir, ClaimFile), "--token-epoch"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: expected it to name %q", err, part)
		}
	}
}

func TestAbsentIsOnlyARealENOENT(t *testing.T) {
	parent := t.TempDir()
	put := func(name string) string {
		p := filepath.Join(parent, name)
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	file := put("file")
	empty, link := filepath.Join(parent, "empty"), filepath.Join(parent, "link")
	if err := errors.Join(os.Mkdir(empty, 0o700), os.Symlink("empty", link)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir string
		ok  bool
	}{
		"no state directory":        {filepath.Join(parent, "none"), true},
		"no file in it":             {empty, true},
		"no parent":                 {filepath.Join(parent, "none", "below"), false},
		"a file":                    {file, false},
		"below a file":              {filepath.Join(file, "below"), false},
		"a link":                    {link, false},
		"a relative path":           {"state", false},
		"a name beyond the maximum": {filepath.Join(parent, strings.Repeat("x", 300)), false},
	} {
		_, found, err := ReadClaim(c.dir)
		if found || (err == nil) != c.ok {
			t.Errorf("%s: found %v, error %v: expected absent %v", name, found, err, c.ok)
		}
		if !c.ok && WriteClaim(c.dir, claim(1, "a")) == nil {
			t.Errorf("%s: a claim was written", name)
		}
	}
}

func TestUnusableClaimIsNeverAbsentNorOverwritten(t *testing.T) {
	good, err := json.Marshal(claim(5, "a"))
	if err != nil {
		t.Fatal(err)
	}
	makers := map[string]func(path string) error{
		"empty":     content(""),
		"zeros":     content(string(make([]byte, 300))),
		"torn":      content(string(good[:len(good)/2])),
		"twice":     content(string(good) + string(good)),
		"newer":     content(`{"v":2,"token":"1","holder":"h","lock":"l"}`),
		"no token":  content(`{"v":1,"holder":"h","lock":"l"}`),
		"zero":      content(`{"v":1,"token":"0","holder":"h","lock":"l"}`),
		"negative":  content(`{"v":1,"token":"-4","holder":"h","lock":"l"}`),
		"64 bits":   content(`{"v":1,"token":"18446744073709551615","holder":"h","lock":"l"}`),
		"no lock":   content(`{"v":1,"token":"1","holder":"h"}`),
		"too large": content(string(good) + strings.Repeat(" ", durable.MaxSize)),
		"a dir":     func(p string) error { return os.Mkdir(p, 0o700) },
		"a link":    func(p string) error { return os.Symlink("elsewhere", p) },
	}
	for name, make := range makers {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			path := filepath.Join(dir, ClaimFile)
			if err := errors.Join(os.Mkdir(dir, 0o700), make(path)); err != nil {
				t.Fatal(err)
			}
			if _, found, err := ReadClaim(dir); !errors.Is(err, ErrClaimCorrupt) || found || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove the file") {
				t.Errorf("read: found %v, %v: expected ErrClaimCorrupt with path and way out", found, err)
			}
			if err := WriteClaim(dir, claim(9, "a")); !errors.Is(err, ErrClaimCorrupt) {
				t.Errorf("write: %v: expected ErrClaimCorrupt", err)
			}
		})
	}
}

func content(s string) func(string) error {
	return func(p string) error { return os.WriteFile(p, []byte(s), 0o600) }
}

func TestLeftoversOfKilledWritersGo(t *testing.T) {
	dir := stateDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ClaimFile+".tmp-1-x"), []byte(`{"v":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteClaim(dir, claim(1, "a")); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("there is %v, %v: expected the claim alone", names, err)
	}
}

func TestWriteClaimRefusesNonsense(t *testing.T) {
	dir := stateDir(t)
	for _, c := range []Claim{{}, claim(0, "a"), claim(1, ""), claim(1<<63, "a"), claim(1, "\xff"), claim(1, strings.Repeat("x", durable.MaxSize))} {
		if err := WriteClaim(dir, c); err == nil {
			t.Errorf("claim of token %d was written", c.Token)
		}
	}
	if _, found, err := ReadClaim(dir); found || err != nil {
		t.Errorf("found %v, %v: expected nothing", found, err)
	}
}

func FuzzParseClaim(f *testing.F) {
	good, err := json.Marshal(claim(5, "a"))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{string(good), "", "null", "{}", "[]", `{"v":1,"token":5}`, `{"v":1,"token":"05","holder":"h","lock":"l"}`, "\x00\x00", `{"v":1e0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseClaim(data)
		if err != nil {
			if !errors.Is(err, ErrClaimCorrupt) || c != (Claim{}) {
				t.Fatalf("%v, %+v: expected ErrClaimCorrupt and nothing else", err, c)
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Skip("a time beyond year 9999")
		}
		if c2, err := ParseClaim(again); err != nil || c2.Token != c.Token || c2.Lock != c.Lock || c2.Holder != c.Holder {
			t.Fatalf("%+v came back as %+v, %v", c, c2, err)
		}
	})
}
