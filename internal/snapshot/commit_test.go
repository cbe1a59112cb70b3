package snapshot

import (
	"errors"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/store"
)

func etcd(token uint64) Holder { return Holder{fenceToken(token), Scope{"db", "etcd"}} }

func TestFencing(t *testing.T) { eachForm(t, testFencing) }

func testFencing(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := []*testFile{newFile("a", []byte("x"))}
	takes(t, r, Holder{}, files)
	if _, err := r.Claim(t.Context(), etcd(5)); err != nil {
		t.Fatal(err)
	}
	c, err := r.Claim(t.Context(), etcd(5))
	if err != nil || c.Number != 3 {
		t.Errorf("a second claim: commit %d, %v, want 3", c.Number, err)
	}
	for _, refused := range []struct {
		who  Holder
		want error
	}{
		{etcd(4), ErrFencedOff},
		{Holder{6, Scope{"db", "zookeeper"}}, ErrScope},
		{Holder{6, Scope{"other", "etcd"}}, ErrScope},
		{Holder{6, Scope{}}, ErrScope},
		{Holder{}, ErrScope},
	} {
		if _, err := take(t, r, refused.who, files); !errors.Is(err, refused.want) {
			t.Errorf("%v: got %v, want %v", refused.who, err, refused.want)
		}
	}
	takes(t, r, etcd(5), files)
	if text, _ := st.peek(catalogKey(3)); !strings.Contains(string(text), `"token":"5"`) {
		t.Errorf("the token is no JSON string: %s", text)
	}
}

// A writer that is overtaken between its upload and its commit publishes nothing.
func TestOvertaken(t *testing.T) { eachForm(t, testOvertaken) }

func testOvertaken(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	st.before = func(op, key string) error {
		if op == "put" && strings.HasSuffix(key, "manifest.zst") {
			st.before = nil
			_, err := r.Claim(t.Context(), etcd(6))
			return err
		}
		return nil
	}
	if _, err := take(t, r, etcd(5), []*testFile{newFile("a", []byte("x"))}); !errors.Is(err, ErrFencedOff) {
		t.Errorf("got %v, want %v", err, ErrFencedOff)
	}
}

func TestScopeOfTheRepository(t *testing.T) {
	r, err := Init(t.Context(), newMemStore(), Scope{"db", "zookeeper"}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Claim(t.Context(), etcd(5)); !errors.Is(err, ErrScope) {
		t.Errorf("got %v, want %v", err, ErrScope)
	}
}

func TestLostReplyOfACommit(t *testing.T) { eachForm(t, testLostReplyOfACommit) }

func testLostReplyOfACommit(t *testing.T, as form) {
	for name, lose := range map[string]func(*memStore) error{
		"done":     func(m *memStore) error { return store.ErrAmbiguous },
		"not done": nil,
	} {
		st := newMemStore()
		r := as.repo(t, st)
		faults := 5
		fault := func(op, key string) error {
			if op != "create" || faults == 0 {
				return nil
			}
			faults--
			return store.ErrAmbiguous
		}
		if lose != nil {
			st.after = fault
		} else {
			st.before = fault
		}
		s := takes(t, r, Holder{}, []*testFile{newFile("a", []byte("x"))})
		c, err := r.Catalog(t.Context())
		if err != nil || c.Number != 2 || len(c.Live) != 1 || s.Number != 2 {
			t.Errorf("%s: commit %d with %d live, snapshot of %d, %v", name, c.Number, len(c.Live), s.Number, err)
		}
	}
}

// A commit of which nothing is known says so, and is settled by the next call.
func TestUncertainCommit(t *testing.T) { eachForm(t, testUncertainCommit) }

func testUncertainCommit(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf([]*testFile{newFile("a", []byte("x"))})); err != nil {
		t.Fatal(err)
	}
	st.after = func(op, key string) error {
		st.after, st.before = nil, func(op, key string) error { return store.ErrUnreachable }
		return store.ErrAmbiguous
	}
	if _, err := d.Publish(t.Context()); !errors.Is(err, ErrUncertain) {
		t.Fatalf("got %v, want %v", err, ErrUncertain)
	}
	st.before = nil
	if _, err := r.Claim(t.Context(), etcd(1)); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Publish(t.Context()); err != nil || s.Number != 2 {
		t.Errorf("snapshot of commit %d, %v, want 2: it had been published", s.Number, err)
	}
}

func TestParentRemoved(t *testing.T) { eachForm(t, testParentRemoved) }

func testParentRemoved(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := []*testFile{newFile("a", []byte("x"))}
	first := takes(t, r, Holder{}, files)
	st.before = func(op, key string) error {
		if op == "put" {
			st.before = nil
			_, err := r.Forget(t.Context(), Holder{}, []ID{first.ID}, true)
			return err
		}
		return nil
	}
	if _, err := take(t, r, Holder{}, files); !errors.Is(err, ErrParentGone) {
		t.Errorf("got %v, want %v", err, ErrParentGone)
	}
}
