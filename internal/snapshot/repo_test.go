package snapshot

import (
	"errors"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/store"
)

func TestOpenTellsPlacesApart(t *testing.T) {
	ours, err := newMemStore(), error(nil)
	testRepo(t, ours)
	config, _ := ours.peek(configKey)
	down := newMemStore()
	failOn("get", "", store.ErrUnreachable)(down)
	for _, c := range []struct {
		name    string
		objects map[string]string
		want    error
	}{
		{"empty", nil, ErrMissing},
		{"begun", map[string]string{recoverKey: "x"}, ErrMissing},
		{"foreign", map[string]string{"photos/cat.jpg": "x"}, ErrForeign},
		{"without its file", map[string]string{catalogKey(1): "{}"}, ErrForeign},
		{"another program's", map[string]string{configKey: `{"interlock":"x"}`}, ErrForeign},
		{"newer", map[string]string{configKey: strings.Replace(string(config), `"format": 1`, `"format": 2`, 1)}, ErrForeign},
		{"encrypted", map[string]string{configKey: strings.Replace(string(config), `"hash"`, `"recipients":["age1x"],"hash"`, 1)}, ErrForeign},
		{"cut off", map[string]string{configKey: string(config[:20])}, ErrDamaged},
		{"large", map[string]string{configKey: strings.Repeat(" ", maxConfig+1)}, ErrDamaged},
		{"fine", map[string]string{configKey: string(config)}, nil},
	} {
		st := newMemStore()
		for key, data := range c.objects {
			st.objects[key] = []byte(data)
		}
		if _, err = Open(t.Context(), st, testNow); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err = Open(t.Context(), down, testNow); !errors.Is(err, store.ErrUnreachable) || errors.Is(err, ErrMissing) {
		t.Errorf("a store that does not answer: %v", err)
	}
}

func TestInitOnce(t *testing.T) {
	st := newMemStore()
	lost := false
	st.after = func(op, key string) error {
		if lost = true; op == "create" {
			return store.ErrAmbiguous
		}
		return nil
	}
	testRepo(t, st)
	if !lost {
		t.Error("no reply was lost")
	}
	if _, err := Init(t.Context(), st, Scope{}, testNow); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second init: %v", err)
	}
	full := newMemStore()
	full.objects["photos/cat.jpg"] = []byte("x")
	if _, err := Init(t.Context(), full, Scope{}, testNow); !errors.Is(err, ErrForeign) || len(full.objects) != 1 {
		t.Errorf("init in a place of others: %v, %d objects", err, len(full.objects))
	}
}

// Another's repository that appears between our look and our create is not taken for ours.
func TestInitRace(t *testing.T) {
	st, other := newMemStore(), newMemStore()
	testRepo(t, other)
	st.before = func(op, key string) error {
		if theirs, _ := other.peek(configKey); op == "create" && key == configKey {
			st.objects[configKey] = theirs
		}
		return nil
	}
	if _, err := Init(t.Context(), st, Scope{}, testNow); !errors.Is(err, store.ErrExists) {
		t.Errorf("got %v", err)
	}
}
