package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/interlock-run/interlock/internal/store"
)

// What we read of any range is what age's own readers say is there, and costs no more than its chunks.
func TestRangesOfEncryptedPacks(t *testing.T) {
	st, key := newMemStore(), newKey(t)
	r := form{key}.repo(t, st)
	pack := Pack{NewID(testNow(), 0), 0}
	for _, size := range []int{1, 9, sealChunk - 9, sealChunk - 7, sealChunk, sealChunk + 1, 5*sealChunk - 3, packFull} {
		frames := noise(uint64(size), size)
		st.objects[pack.key()] = sealedPack(t, r, frames)
		r.keys.forget()
		if n := len(st.objects[pack.key()]); n > r.seal.packSize() || (int64(n)-r.seal.head)%(sealChunk+sealTag) != 0 {
			t.Errorf("%d bytes: a pack of %d, want whole chunks and at most %d", size, n, r.seal.packSize())
		}
		stored := st.objects[pack.key()]
		theirs, n, err := age.DecryptReaderAt(bytes.NewReader(stored), int64(len(stored)), key)
		if err != nil || n < int64(size) {
			t.Fatalf("%d bytes: age reads %d, %v", size, n, err)
		}
		rnd := rand.New(rand.NewPCG(uint64(size), 1))
		for range 20 {
			off := rnd.Int64N(int64(size))
			end := off + 1 + rnd.Int64N(int64(size)-off)
			sameRange(t, r, pack, theirs, off, end)
		}
		r.keys.forget()
		sameRange(t, r, pack, theirs, int64(size)-1, int64(size)) // without the key
	}
}

func sealedPack(t testing.TB, r *Repository, frames []byte) []byte {
	t.Helper()
	p := &fullPack{buf: &buffer{data: make([]byte, r.seal.packSize())}}
	var err error
	if p.in, err = r.seal.sealed(p); err == nil {
		_, err = p.in.Write(frames)
	}
	p.raw = len(frames)
	if err := errors.Join(err, p.end(r.seal)); err != nil {
		t.Fatal(err)
	}
	return p.buf.data[:p.used]
}

func sameRange(t *testing.T, r *Repository, pack Pack, theirs io.ReaderAt, off, end int64) {
	t.Helper()
	st := r.store.(*memStore)
	before := st.reads
	body, err := r.openPack(t.Context(), pack, off, end)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	want := make([]byte, end-off)
	if _, err := theirs.ReadAt(want, off); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if err := errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d to %d: %d bytes, %v", off, end, len(got), err)
	}
	if most := r.seal.head + end - off + 2*(sealChunk+sealTag) + (end-off)/sealChunk*sealTag; st.reads-before > most {
		t.Errorf("%d to %d: %d bytes read, want at most %d", off, end, st.reads-before, most)
	}
}

// A header is read once, in the request for the first chunk where that is wanted.
func TestKeysAreRemembered(t *testing.T) {
	st := newMemStore()
	r := form{newKey(t)}.repo(t, st)
	pack := Pack{NewID(testNow(), 0), 0}
	st.objects[pack.key()] = sealedPack(t, r, noise(1, 9*sealChunk))
	for i, c := range []struct {
		off, end int64
		gets     int
	}{{5 * sealChunk, 6 * sealChunk, 2}, {0, 9 * sealChunk, 1}, {7, 8, 1}} {
		before := st.gets
		body, err := r.openPack(t.Context(), pack, c.off, c.end)
		if err != nil {
			t.Fatal(err)
		}
		if err := body.Close(); err != nil || st.gets-before != c.gets {
			t.Errorf("%d: %d requests, %v, want %d", i, st.gets-before, err, c.gets)
		}
	}
	for n := range keysAtMost + 1 {
		r.keys.put(Pack{pack.Owner, n}, r.keys.get(pack))
	}
	if len(r.keys.of) > keysAtMost {
		t.Errorf("%d keys are remembered, want at most %d", len(r.keys.of), keysAtMost)
	}
}

// Who has no key is told so, never that something is damaged or absent; and can write, collect and compare.
func TestWithoutIdentity(t *testing.T) {
	st, key := newMemStore(), newKey(t)
	s := takes(t, form{key}.repo(t, st), Holder{}, []*testFile{newFile("a", noise(1, 1<<20))})
	r, err := Open(t.Context(), st, testNow)
	if err != nil || r.Readable() || !r.Encrypted() {
		t.Fatalf("%v, readable %v", err, r.Readable())
	}
	run := aRun(Pack{s.ID, 0})
	for name, read := range map[string]func() error{
		"manifest": func() error { _, err := r.Manifest(t.Context(), s); return err },
		"parent":   func() error { _, err := r.ParentManifest(t.Context(), "", s); return err },
		"copy":     func() error { return r.CopyManifest(t.Context(), s, filepath.Join(t.TempDir(), "m")) },
		"verify":   func() error { return r.Verify(t.Context(), s, nil) },
		"fetch": func() error {
			return r.Fetch(t.Context(), seqOf([]Want{{Run: run, Chunk: minChunk}}), nil, func(Want, []byte) error { return nil })
		},
		"wrong": func() error { return r.UseIdentities(newKey(t)) },
		"none":  func() error { return r.UseIdentities() },
	} {
		if err := read(); !errors.Is(err, ErrIdentity) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoSnapshot) {
			t.Errorf("%s: got %v, want %v", name, err, ErrIdentity)
		}
	}
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf([]*testFile{newFile("a", noise(2, 1<<20))})); err != nil {
		t.Fatal(err)
	}
	full, err := d.Publish(t.Context())
	if err != nil || full.Parent != "" {
		t.Fatalf("a full one: parent %q, %v", full.Parent, err)
	}
	if err := r.VerifyStored(t.Context(), full, nil); err != nil {
		t.Error(err)
	}
	if _, err := r.Forget(t.Context(), Holder{}, []ID{s.ID}, false); err != nil {
		t.Fatal(err)
	}
	if found, err := r.Collect(t.Context(), Holder{}, false); err != nil || found.Deleted != 3 {
		t.Errorf("%+v, %v, want pack, manifest and list deleted", found, err)
	}
	if err := r.UseIdentities(key); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(t.Context(), full, nil); err != nil {
		t.Error(err)
	}
}

// An increment needs the plain copy of the parent's manifest, which only its owner can read, and no key.
func TestIncrementWithoutIdentity(t *testing.T) {
	st, key := newMemStore(), newKey(t)
	form{key}.repo(t, st)
	r, err := Open(t.Context(), st, testNow)
	if err != nil {
		t.Fatal(err)
	}
	one, two := newFile("a", noise(1, 3<<20)), newFile("b", noise(2, 100))
	kept, first := keeps(t, r, "", []*testFile{one})
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v, %v, want 0600", info.Mode(), err)
	}
	gets := st.gets
	_, second := keeps(t, r, kept, []*testFile{one, two})
	if second.Parent != first.ID || second.Stored > 200<<10 {
		t.Errorf("parent %q, %d bytes stored, want an increment", second.Parent, second.Stored)
	}
	if got := st.gets - gets; got > 4 {
		t.Errorf("%d objects read, want catalogs alone", got)
	}
	if err := r.VerifyStored(t.Context(), second, nil); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"changed":   func(b []byte) []byte { b[30]++; return b },
		"cut off":   func(b []byte) []byte { return b[:len(b)-1] },
		"longer":    func(b []byte) []byte { return append(b, 0) },
		"no end":    func(b []byte) []byte { return b[:len(b)-keptEndSize] },
		"another's": func(b []byte) []byte { b[len(b)-1]++; return b },
		"empty":     func([]byte) []byte { return nil },
	} {
		text, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, spoil(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ParentManifest(t.Context(), bad, first); !errors.Is(err, ErrIdentity) {
			t.Errorf("a copy that is %s: %v, want the store's to be asked", name, err)
		}
	}
	if err := r.UseIdentities(key); err != nil {
		t.Fatal(err)
	}
	sameTree(t, readAll(t, r, second), []*testFile{one, two})
	copied := filepath.Join(t.TempDir(), "copied")
	if err := r.CopyManifest(t.Context(), first, copied); err != nil {
		t.Fatal(err)
	}
	a, err1 := os.ReadFile(kept)
	b, err2 := os.ReadFile(copied)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
		t.Errorf("a copy of %d bytes was made, %v, want the %d that the writer left", len(b), err, len(a))
	}
}

// keeps takes a snapshot on top of the one of which a copy was kept.
func keeps(t *testing.T, r *Repository, kept string, files []*testFile) (string, Snapshot) {
	t.Helper()
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := WriteOptions{Scratch: t.TempDir()}
	if kept != "" {
		if o.Parent, err = r.ParentManifest(t.Context(), kept, d.Parent); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := o.Parent.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	path, err := d.Write(t.Context(), o, itemsOf(files))
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return path, s
}

// Objects that were cut off, changed or exchanged are damaged, with a key and without.
func TestSpoiledCiphertext(t *testing.T) {
	st, key := newMemStore(), newKey(t)
	r := form{key}.repo(t, st)
	s := takes(t, r, Holder{}, []*testFile{newFile("a", noise(1, 20<<20))})
	other := takes(t, r, Holder{}, []*testFile{newFile("a", noise(2, 20<<20)).touch()})
	locked, err := Open(t.Context(), st, testNow)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{s.ID.manifestKey(), Pack{s.ID, 0}.key(), Pack{s.ID, 1}.key(), s.ID.packsKey()} {
		good := st.objects[from]
		for name, spoil := range map[string]func([]byte) []byte{
			"cut":          func(b []byte) []byte { return b[:len(b)-1] },
			"a chunk less": func(b []byte) []byte { return b[:max(1, len(b)-sealChunk-sealTag)] },
			"half":         func(b []byte) []byte { return b[:len(b)/2] },
			"first byte":   func(b []byte) []byte { b[0]++; return b },
			"header":       func(b []byte) []byte { b[r.seal.head-20]++; return b },
			"middle":       func(b []byte) []byte { b[len(b)/2]++; return b },
			"end":          func(b []byte) []byte { b[len(b)-1]++; return b },
			"longer":       func(b []byte) []byte { return append(b, 0) },
			"exchanged":    func([]byte) []byte { return st.objects[strings.Replace(from, string(s.ID), string(other.ID), 1)] },
		} {
			st.objects[from] = spoil(bytes.Clone(good))
			// The last chunk of a pack may hold nothing but what fills it.
			unread := strings.HasSuffix(from, ".pack") && (name == "end" || name == "cut" || name == "longer")
			if err := r.Verify(t.Context(), s, nil); !isDamaged(err) && !unread {
				t.Errorf("%s, %s: got %v, want it to be damaged", from, name, err)
			}
			if err := locked.VerifyStored(t.Context(), s, nil); !isDamaged(err) {
				t.Errorf("%s, %s, without a key: got %v, want it to be damaged", from, name, err)
			}
		}
		st.objects[from] = good
	}
	if err := errors.Join(r.Verify(t.Context(), s, nil), locked.VerifyStored(t.Context(), s, nil)); err != nil {
		t.Error(err)
	}
}

func isDamaged(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, store.ErrDamaged) }

// Packs of snapshots that were removed are compared, too, as long as they are named.
func TestVerifyStoredOfTakenOver(t *testing.T) {
	st := newMemStore()
	r := form{newKey(t)}.repo(t, st)
	keep := newFile("keep", noise(1, 1<<20))
	first := takes(t, r, Holder{}, []*testFile{keep})
	second := takes(t, r, Holder{}, []*testFile{keep, newFile("new", noise(2, 10))})
	if _, err := r.Forget(t.Context(), Holder{}, []ID{first.ID}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Collect(t.Context(), Holder{}, false); err != nil {
		t.Fatal(err)
	}
	if err := r.VerifyStored(t.Context(), second, nil); err != nil {
		t.Error(err)
	}
	st.objects[Pack{first.ID, 0}.key()][500]++
	if err := r.VerifyStored(t.Context(), second, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want %v", err, ErrDamaged)
	}
}

// Nothing that is stored beside the plain objects tells a file's name or bytes.
func TestNothingIsPlain(t *testing.T) {
	st := newMemStore()
	r := form{newKey(t)}.repo(t, st)
	takes(t, r, Holder{}, []*testFile{newFile("very-secret-name", bytes.Repeat([]byte("very-secret-content"), 5000))})
	for key, data := range st.objects {
		if bytes.Contains(data, []byte("very-secret")) || bytes.Contains(data, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
			t.Errorf("%s holds plain text or a zstd frame", key)
		}
	}
}

// An encrypted repository is none for a release that knows format 1 alone, and one cannot become the other.
func TestFormatsDoNotMix(t *testing.T) {
	st := newMemStore()
	r := form{newKey(t)}.repo(t, st)
	takes(t, r, Holder{}, []*testFile{newFile("a", []byte("x"))})
	config, _ := st.peek(configKey)
	if !bytes.Contains(config, []byte(`"format": 2`)) {
		t.Errorf("interlock.json: %s, want format 2", config)
	}
	plain := newMemStore()
	st.objects[configKey] = bytes.ReplaceAll(plainConfig(t, plain, r.ID), []byte("\n"), nil)
	swapped, err := Open(t.Context(), st, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := swapped.Begin(t.Context(), Holder{}, BeginOptions{}); !errors.Is(err, ErrForeign) {
		t.Errorf("a plain interlock.json over an encrypted repository: %v, want %v", err, ErrForeign)
	}
}

// plainConfig is the interlock.json of a plain repository with that id.
func plainConfig(t *testing.T, st *memStore, id string) []byte {
	t.Helper()
	r := testRepo(t, st)
	data, _ := st.peek(configKey)
	return bytes.Replace(data, []byte(r.ID), []byte(id), 1)
}

func TestRecipients(t *testing.T) {
	a, b := newKey(t), newKey(t)
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]string{
		"none": {}, "secret": {a.String()}, "ssh": {"ssh-ed25519 AAAA"}, "passphrase": {"correct horse"},
		"plugin": {"age1yubikey1qqqq"}, "twice": {a.Recipient().String(), a.Recipient().String()},
		"mixed": {a.Recipient().String(), pq.Recipient().String()}, "spaces": {a.Recipient().String() + "\n" + b.Recipient().String()},
		"many": make([]string, recipientsAtMost+1),
	} {
		st := newMemStore()
		_, err := InitEncrypted(t.Context(), st, Scope{}, bad, testNow)
		if err == nil || len(st.objects) > 0 {
			t.Errorf("%s: %v, %d objects", name, err, len(st.objects))
		} else if strings.Contains(err.Error(), a.String()) {
			t.Errorf("%s: the error tells the secret", name)
		}
	}
	for name, keys := range map[string][]age.Identity{"two": {a, b}, "post-quantum": {pq}} {
		st := newMemStore()
		var texts []string
		for _, k := range keys {
			text, _ := recipientOf(k)
			texts = append(texts, text)
		}
		r, err := InitEncrypted(t.Context(), st, Scope{}, texts, testNow)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files := []*testFile{newFile("a", noise(1, 3<<20))}
		d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files)); err != nil {
			t.Fatal(err)
		}
		s, err := d.Publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			r, err := Open(context.Background(), st, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.UseIdentities(newKey(t), k); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sameTree(t, readAll(t, r, s), files)
		}
	}
}

func TestParseIdentities(t *testing.T) {
	key := newKey(t).String()
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"one":       {"# created: then\n" + key + "\n", true},
		"windows":   {key + "\r\n", true},
		"two":       {key + "\n" + newKey(t).String(), true},
		"none":      {"# nothing\n", false},
		"other":     {key + "x\n", false},
		"encrypted": {"age-encryption.org/v1\n-> scrypt x", false},
		"armored":   {"-----BEGIN AGE ENCRYPTED FILE-----\n", false},
		"ssh":       {"-----BEGIN OPENSSH PRIVATE KEY-----\n", false},
		"recipient": {"age1xyz\n", false},
		"large":     {strings.Repeat("#", maxConfig+1), false},
	} {
		ids, err := ParseIdentities(strings.NewReader(c.text))
		if c.good != (err == nil) || c.good != (len(ids) > 0) || err != nil && !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %d identities, %v", name, len(ids), err)
		}
		if strings.Contains(fmt.Sprint(err), key[16:]) {
			t.Errorf("%s: the error tells the secret", name)
		}
	}
}
