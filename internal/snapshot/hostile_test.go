package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

type hostile struct{ name, lines string }

// hostileLines are manifests that must be refused, but for the first one.
func hostileLines() []hostile {
	file := func(path string) string {
		return `{"path":"` + path + `","kind":"file","mode":420,"size":10,"chunk":131072}` + "\n"
	}
	dir := func(path string) string { return `{"path":"` + path + `","kind":"dir","mode":493}` + "\n" }
	sym := `{"path":"s","kind":"symlink","target":"/etc"}` + "\n"
	run, owner := `{"at":0,"off":0,RUN}`+"\n", `{"owner":"`+string(fuzzID)+`","packs":"0"}`+"\n"
	end := func(entries, runs int) string {
		return fmt.Sprintf(`{"end":true,"entries":%d,"runs":%d}`+"\n", entries, runs)
	}
	return []hostile{
		{"fine", file("a") + run + owner + end(1, 1)},
		{"no end", file("a") + run + owner},
		{"half a line", file("a") + run + owner + `{"end":true`},
		{"wrong counts", file("a") + run + owner + end(2, 1)},
		{"more after the end", file("a") + run + owner + end(1, 1) + file("b")},
		{"no owner", file("a") + run + end(1, 1)},
		{"another owner", file("a") + run + strings.ReplaceAll(owner, `"0"`, `"1"`) + end(1, 1)},
		{"absolute", file("/a") + end(1, 0)},
		{"up", file("../a") + end(1, 0)},
		{"up inside", dir("a") + file("a/../../b") + end(2, 0)},
		{"dot", file("a/./b") + end(1, 0)},
		{"empty name", dir("a") + file("a//b") + end(2, 0)},
		{"NUL", file(`a\u0000`) + end(1, 0)},
		{"no directory", file("a/b") + end(1, 0)},
		{"through a symlink", sym + file("s/passwd") + end(2, 0)},
		{"through a file", file("a") + file("a/b") + end(2, 0)},
		{"twice", file("a") + file("a") + end(2, 0)},
		{"order", file("b") + file("a") + end(2, 0)},
		{"root is a file", file(".") + end(1, 0)},
		{"link to nothing", `{"path":"b","kind":"hardlink","target":"a"}` + "\n" + end(1, 0)},
		{"link through a symlink", sym + `{"path":"t","kind":"hardlink","target":"s/passwd"}` + "\n" + end(2, 0)},
		{"link up", `{"path":"t","kind":"hardlink","target":"../passwd"}` + "\n" + end(1, 0)},
		{"kind", `{"path":"t","kind":"door"}` + "\n" + end(1, 0)},
		{"chunk", strings.ReplaceAll(file("a"), "131072", "1") + end(1, 0)},
		{"huge", strings.ReplaceAll(file("a"), `"size":10`, `"size":9223372036854775807`) + end(1, 0)},
		{"run of a directory", dir("a") + run + owner + end(1, 1)},
		{"run before all", run + owner + end(0, 1)},
		{"run twice", file("a") + run + run + owner + end(1, 2)},
		{"run beyond the end", strings.ReplaceAll(file("a"), `"size":10`, `"size":9`) + run + owner + end(1, 1)},
		{"whole chunk beyond the end", file("a") + strings.NewReplacer(`"len":10`, `"len":131072`, `"raw":10`, `"raw":131072`).Replace(
			`{"at":0,"off":0,"len":10,"pack":"`+string(fuzzID)+`/00000","stored":10,"raw":10,"sums":"AAAAAAAAAAAAAAAAAAAAAA=="}`) + "\n" + owner + end(1, 1)},
		{"run in a chunk", strings.ReplaceAll(file("a"), `"size":10`, `"size":99`) + strings.ReplaceAll(run, `"at":0`, `"at":5`) + owner + end(1, 1)},
		{"run at the end of time", file("a") + strings.ReplaceAll(run, `"at":0`, `"at":9223372036854644736`) + owner + end(1, 1)},
		{"pack too long", file("a") + strings.ReplaceAll(run, `"off":0`, `"off":16777210`) + owner + end(1, 1)},
		{"negative", file("a") + strings.ReplaceAll(run, `"off":0`, `"off":-1`) + owner + end(1, 1)},
		{"pack elsewhere", file("a") + `{"at":0,"len":10,"pack":"../../x/00000","stored":10,"raw":10,"sums":"AAAAAAAAAAAAAAAAAAAAAA=="}` + "\n" + end(1, 1)},
		{"pack without a name", file("a") + `{"at":0,"len":10,"pack":"","off":0,"stored":10,"raw":10,"sums":"AAAAAAAAAAAAAAAAAAAAAA=="}` + "\n" + end(1, 1)},
		{"skip", file("a") + `{"at":0,"skip":1,RUN}` + "\n" + owner + end(1, 1)},
		{"many packs", file("a") + run + strings.ReplaceAll(owner, `"0"`, `"0-99999999999"`) + end(1, 1)},
		{"not JSON", "hello\n" + end(0, 0)},
	}
}

func TestHostileManifests(t *testing.T) {
	for i, h := range hostileLines() {
		text := manifestWith(h.lines)
		_, _, err := readManifest(zstdOf(t, text), int64(len(text)))
		if i == 0 && err != nil {
			t.Errorf("%s: %v", h.name, err)
		}
		if i > 0 && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want it to be damaged", h.name, err)
		}
	}
}

// endless is a line without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// A small object that decompresses to very much costs no memory.
func TestManifestBomb(t *testing.T) {
	var small bytes.Buffer
	m, err := newManifestWriter(&small, Header{"manifest", Format, fuzzRepo, fuzzID, "", minChunk})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(m.enc, io.LimitReader(endless{}, 1<<30)); err != nil {
		t.Fatal(err)
	}
	if err := m.enc.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := readManifest(small.Bytes(), 1<<40); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want it to be damaged", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d bytes allocated for a bomb of %d", n, small.Len())
	}
}

// Every single changed byte of a pack, manifest or catalog is noticed.
func TestChangedBytesAreNoticed(t *testing.T) { eachForm(t, testChangedBytesAreNoticed) }

func testChangedBytesAreNoticed(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	s := takes(t, r, Holder{}, []*testFile{newFile("a", words(1, 3000)), newFile("b", noise(1, 3000))})
	for key, data := range st.objects {
		if key == recoverKey || key == configKey {
			continue
		}
		for i := 0; i < len(data); i += 1 + len(data)/200 {
			bad := bytes.Clone(data)
			bad[i] ^= 0x10
			st.objects[key] = bad
			changed := noticed(t, r, s, key)
			if changed == nil && !strings.HasPrefix(key, catalogPrefix) {
				t.Errorf("%s: byte %d changed, and all is well", key, i)
			}
			if changed != nil && !errors.Is(changed, ErrDamaged) && !errors.Is(changed, ErrForeign) {
				t.Errorf("%s: byte %d: got %v, want it to be damaged", key, i, changed)
			}
		}
		st.objects[key] = data
	}
}

func noticed(t *testing.T, r *Repository, s Snapshot, key string) error {
	t.Helper()
	if strings.HasPrefix(key, catalogPrefix) {
		_, err := r.Catalog(t.Context())
		return err
	}
	return r.Verify(t.Context(), s, nil)
}
