package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const fuzzRepo = "0123456789abcdef0123456789abcdef"

const fuzzID ID = "20260304T050607Z-7-0123456789abcdef"

// onlyDamaged fails where a decoder says anything but that what it read is damaged or foreign.
func onlyDamaged(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
		t.Errorf("got %v, want it to be damaged or foreign", err)
	}
}

// zstdOf compresses a manifest's text.
func zstdOf(t testing.TB, text []byte) []byte {
	t.Helper()
	var out []byte
	for len(text) > maxFrame {
		out, text = storeFrame(text[:maxFrame], out), text[maxFrame:]
	}
	return storeFrame(text, out)
}

// readManifest reads all of a stored manifest, as what the catalog names, and counts.
func readManifest(data []byte, raw int64) (entries, runs int, err error) {
	s := Snapshot{ID: fuzzID, Manifest: Object{Size: int64(len(data)), Raw: raw, Sum: SumOf(data)}}
	m, err := OpenManifest(io.NopCloser(bytes.NewReader(data)), fuzzRepo, s)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for {
		_, err := m.NextEntry()
		if errors.Is(err, io.EOF) {
			return entries, runs, nil
		}
		for entries++; err == nil; runs++ {
			_, err = m.NextRun()
		}
		if !errors.Is(err, io.EOF) {
			return entries, runs, err
		}
	}
}

// manifestText is a valid one.
func manifestText(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	m, err := newManifestWriter(&out, Header{"manifest", Format, fuzzRepo, fuzzID, "", minChunk})
	if err != nil {
		t.Fatal(err)
	}
	run := aRun(Pack{fuzzID, 3})
	for _, f := range aTree()[:40] {
		f.File.Chunk = minChunk
		if err := m.entry(&f.Entry); err != nil {
			t.Fatal(err)
		}
		if f.Kind == File && f.File.Size == 10 {
			if err := m.run(&run); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := m.finish(); err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	text, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// spoiled gives a text whole, cut off, and with single bytes changed.
func spoiled(add func([]byte), text []byte) {
	add(text)
	for i := 1; i < len(text); i += 1 + len(text)/40 {
		add(text[:i])
		bad := bytes.Clone(text)
		bad[i] ^= 1 << (i % 8)
		add(bad)
	}
}

// FuzzManifest reads what it is given both as lines and as what is stored.
func FuzzManifest(f *testing.F) {
	text := manifestText(f)
	spoiled(func(b []byte) { f.Add(b) }, text)
	spoiled(func(b []byte) { f.Add(b) }, zstdOf(f, text))
	f.Add([]byte("\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x0f"))
	for _, h := range hostileLines() {
		f.Add(manifestWith(h.lines))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, err := readManifest(data, 1<<20)
		onlyDamaged(t, err)
		_, _, err = readManifest(zstdOf(t, data), int64(len(data)))
		onlyDamaged(t, err)
		stored := zstdOf(t, data)
		l, err := newLines(io.NopCloser(bytes.NewReader(stored)), Object{Size: int64(len(stored)), Raw: int64(len(data)), Sum: SumOf(stored)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ownersIn(l)
		onlyDamaged(t, errors.Join(err, l.close()))
	})
}

func FuzzCatalog(f *testing.F) {
	fuzzConfig, sealedConfig := Config{Format: Format, ID: fuzzRepo}, Config{Format: FormatSealed, ID: fuzzRepo}
	c := Catalog{Format: Format, Repository: fuzzRepo, Number: 5, Nonce: nonce(), Before: nonce(), Token: 8, Scope: Scope{"db", "etcd"}, Why: "publish"}
	c.Live = []Snapshot{{ID: fuzzID, Number: 5, Manifest: Object{Size: 1, Raw: 1}, About: About{Labels: map[string]string{"a": "b"}}}}
	c.Dead = []Dead{{"20260304T050607Z-7-0123456789abcdee", 4}}
	text, err := c.encode()
	if err != nil {
		f.Fatal(err)
	}
	if _, err := decodeCatalog(text, &fuzzConfig, 5); err != nil {
		f.Fatal(err)
	}
	spoiled(func(b []byte) { f.Add(b) }, text)
	sealed := bytes.ReplaceAll(text, []byte(`"entries"`), []byte(`"packs":{"size":1,"raw":1,"sum":"00112233445566778899aabbccddeeff"},"entries"`))
	sealed = bytes.Replace(sealed, []byte(`"format":1`), []byte(`"format":2`), 1)
	if _, err := decodeCatalog(sealed, &sealedConfig, 5); err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := decodeCatalog(data, &sealedConfig, 5)
		onlyDamaged(t, err)
		c, err := decodeCatalog(data, &fuzzConfig, 5)
		onlyDamaged(t, err)
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeCatalog(again, &fuzzConfig, 5); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

func FuzzConfig(f *testing.F) {
	text, err := json.Marshal(Config{Interlock: "repository", Format: Format, ID: fuzzRepo, Hash: hashName, Scope: Scope{"db", "etcd"}})
	if err != nil {
		f.Fatal(err)
	}
	spoiled(func(b []byte) { f.Add(b) }, text)
	f.Add([]byte(`{"interlock":"repository","format":2,"id":"` + fuzzRepo + `","hash":"blake3-128","recipients":["` + newKey(f).Recipient().String() + `"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeConfig(data)
		if err == nil {
			_, err = newRepository(c, nil, testNow)
		}
		onlyDamaged(t, err)
	})
}

func FuzzFrame(f *testing.F) {
	enc, err := newEncoder(1)
	if err != nil {
		f.Fatal(err)
	}
	for _, raw := range [][]byte{words(1, 2000), noise(1, 300), make([]byte, 300_000)} {
		spoiled(func(b []byte) { f.Add(b, int64(len(raw))) }, encodeFrame(enc, raw, nil))
	}
	f.Add([]byte("\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\x0f"), int64(1<<62))
	dec, err := newDecoder(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, stored []byte, want int64) {
		raw, err := decodeFrame(dec, stored, want, nil)
		onlyDamaged(t, err)
		if err == nil && int64(len(raw)) != want {
			t.Errorf("%d bytes without an error, want %d", len(raw), want)
		}
	})
}

func manifestWith(lines string) []byte {
	return []byte(`{"interlock":"manifest","format":1,"repository":"` + fuzzRepo + `","snapshot":"` + string(fuzzID) + `","chunk":131072}` + "\n" +
		strings.ReplaceAll(lines, "RUN", `"len":10,"pack":"`+string(fuzzID)+`/00000","stored":10,"raw":10,"sums":"AAAAAAAAAAAAAAAAAAAAAA=="`))
}
