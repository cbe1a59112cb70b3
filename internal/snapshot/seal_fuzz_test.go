package snapshot

import (
	"bytes"
	"context"
	"io"
	"testing"

	"filippo.io/age"
)

// FuzzSealed reads what it is given as a stored pack and manifest; and seals it, spoils a byte, and reads
// that. Nothing that was spoiled is ever taken for what was sealed.
func FuzzSealed(f *testing.F) {
	key := newKey(f)
	r := form{key}.repo(f, newMemStore())
	pack := Pack{NewID(testNow(), 0), 0}
	sealed := sealedPack(f, r, words(1, 3000))
	f.Add(sealed[:300], uint32(0), byte(0))
	f.Add(zstdOf(f, manifestText(f)), uint32(7), byte(1))
	f.Add([]byte("age-encryption.org/v1\n-> X25519 AAAA\nAAAA\n--- AAAA\n"), uint32(190), byte(4))
	f.Add(words(2, sealChunk+5), uint32(sealChunk+200), byte(128))
	f.Fuzz(func(t *testing.T, data []byte, at uint32, flip byte) {
		if plain, err := readPack(r, pack, data, 1); err == nil {
			t.Errorf("%d bytes of a stranger's were read as %q", len(data), plain)
		}
		onlyDamaged(t, readSealedManifest(r, data))
		if len(data) == 0 {
			return
		}
		stored := sealedPack(t, r, data)
		stored[int(at)%len(stored)] ^= flip
		got, err := readPack(r, pack, stored, int64(len(data)))
		inside := int64(at)%int64(len(stored)) < r.seal.place((int64(len(data))+sealChunk-1)/sealChunk)
		if flip != 0 && inside && err == nil || flip == 0 && !bytes.Equal(got, data) {
			t.Errorf("byte %d of %d changed by %d: %v", int(at)%len(stored), len(stored), flip, err)
		}
		onlyDamaged(t, readSealedManifest(r, stored))
		whole, err := sealedBytes(r.seal, data)
		if err != nil {
			t.Fatal(err)
		}
		onlyDamaged(t, readSealedManifest(r, whole))
	})
}

// readPack reads the first n bytes of what is stored as a pack.
func readPack(r *Repository, pack Pack, stored []byte, n int64) ([]byte, error) {
	r.keys.forget()
	st := newMemStore()
	st.objects[pack.key()] = stored
	other := &Repository{Config: r.Config, store: st, clock: testNow, seal: r.seal, keys: r.keys}
	body, err := other.openPack(context.Background(), pack, 0, n)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(body)
}

func readSealedManifest(r *Repository, stored []byte) error {
	s := Snapshot{ID: fuzzID, Manifest: Object{Size: int64(len(stored)), Raw: 1 << 20, Sum: SumOf(stored)}}
	m, err := openManifest(io.NopCloser(bytes.NewReader(stored)), r.opened, fuzzRepo, s)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = m.NextEntry()
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// FuzzPackList reads a plain list of packs.
func FuzzPackList(f *testing.F) {
	r := form{newKey(f)}.repo(f, newMemStore())
	r.ID = fuzzRepo
	text := `{"interlock":"packs","format":2,"repository":"` + fuzzRepo + `","snapshot":"` + string(fuzzID) + `"}` + "\n" +
		`{"pack":0,"size":65752,"sum":"00112233445566778899aabbccddeeff"}` + "\n" +
		`{"owner":"` + string(fuzzID) + `","packs":"0"}` + "\n" + `{"end":true,"packs":1}` + "\n"
	read := func(data []byte) (n int, err error) {
		l := newTextLines(io.NopCloser(bytes.NewReader(data)), Object{Size: int64(len(data)), Raw: int64(len(data)), Sum: SumOf(data)})
		set, err := r.parseList(l, fuzzID, true, func(packLine) error { n++; return nil })
		if err == nil && set.full() != nil {
			f.Error("more packs than a set may have")
		}
		return n, err
	}
	if n, err := read([]byte(text)); err != nil || n != 1 {
		f.Fatalf("%d packs, %v", n, err)
	}
	spoiled(func(b []byte) { f.Add(b) }, []byte(text))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := read(data)
		onlyDamaged(t, err)
	})
}

// FuzzIdentities: whatever is in the files, there is an answer, and it does not repeat a secret.
func FuzzIdentities(f *testing.F) {
	key := newKey(f)
	f.Add([]byte(key.String()))
	f.Add([]byte(key.Recipient().String()))
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := ParseIdentities(bytes.NewReader(data))
		if (err == nil) != (len(ids) > 0) {
			t.Errorf("%d identities, %v", len(ids), err)
		}
		to, err := ParseRecipients([]string{string(data)})
		if err == nil {
			if _, err := age.Encrypt(io.Discard, to...); err != nil {
				t.Logf("%q: %v", data, err) // a point of low order; Init refuses it
			}
		}
	})
}
