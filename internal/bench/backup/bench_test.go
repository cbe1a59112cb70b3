//go:build bench

package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestBackupDirectory is the whole protocol, with repositories in a directory.
func TestBackupDirectory(t *testing.T) {
	r := newRun(t, func(tool) bool { return true })
	r.tree(t)
	r.note(t, "to a directory")
	r.steps(t)
}

// TestBackupS3 is the same with repositories in S3 on loopback, for those that can.
func TestBackupS3(t *testing.T) {
	r := newRun(t, func(t tool) bool { return t.s3 })
	s := testkit.S3(t, testkit.S3Options{Dir: filepath.Join(r.dir, "s3")})
	for _, p := range r.programs {
		name := "bench-" + filepath.Base(p.place.dir)
		s.Bucket(t, name)
		p.place.repo = filepath.Join(s.Dir(), name)
		p.place.s3 = &bucket{s.Endpoint(), s.Region, name, s.AccessKey, s.SecretKey}
	}
	r.tree(t)
	r.note(t, "to S3 on loopback (versitygw), whose own time is not in the CPU figures")
	r.steps(t)
}

// TestBackupSmall is BENCH_FILES small files.
func TestBackupSmall(t *testing.T) {
	r := newRun(t, func(t tool) bool { return t.small })
	files := number(t, "BENCH_FILES", 1_000_000)
	if err := Small(r.live, 1, files, 4<<10); err != nil {
		t.Fatal(err)
	}
	r.note(t, fmt.Sprintf("%d files of 150 bytes to 4 KB to a directory", files))
	for range number(t, "BENCH_SMALL_N", 1) {
		r.each(t, "first backup", r.full)
		r.each(t, "again, unchanged", r.backup("again"))
		r.each(t, "restore into an empty directory", r.restore)
		r.clear(t)
	}
	r.show(t, map[string][]Aim{
		"first backup":                    {{Against: "tar", Times: 0.5}},
		"restore into an empty directory": {{Against: "tar", Times: 0.5}},
	})
}

// A program is a tool at work.
type program struct {
	tool
	place place
	rows  map[string]*Row
	last  string // tag of the last backup
}

// A run is one table.
type run struct {
	dir, live string
	made      Tree
	cold      bool
	round     int
	programs  []*program
	order     []string // of the steps
}

func newRun(t *testing.T, can func(tool) bool) *run {
	t.Helper()
	base := os.Getenv("BENCH_DIR")
	dir, err := os.MkdirTemp(base, "interlock-bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	r := &run{dir: dir, live: filepath.Join(dir, "live"), cold: os.Getenv("BENCH_CACHE") != "warm"}
	only := strings.FieldsFunc(os.Getenv("BENCH_TOOLS"), func(c rune) bool { return c == ',' })
	for i, tool := range tools(testkit.Binary(t)) {
		if !can(tool) || i > 0 && len(only) > 0 && !slices.Contains(only, tool.name) {
			continue
		}
		own := filepath.Join(dir, strconv.Itoa(i))
		p := &program{tool: tool, rows: map[string]*Row{}, place: place{dir: own, repo: filepath.Join(own, "repo"), live: r.live}}
		r.programs = append(r.programs, p)
	}
	if err := os.Mkdir(r.live, 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: expected a whole number of at least 1", variable, text)
	}
	return n
}

func (r *run) tree(t *testing.T) {
	t.Helper()
	r.made = Tree{Dir: r.live, MiB: number(t, "BENCH_MIB", 2048), Files: 4000, Seed: 1}
	if err := r.made.Make(); err != nil {
		t.Fatal(err)
	}
}

// note says under which circumstances the figures are taken.
func (r *run) note(t *testing.T, where string) {
	t.Helper()
	var fs unix.Statfs_t
	var release unix.Utsname
	if err := errors.Join(unix.Statfs(r.dir, &fs), unix.Uname(&release)); err != nil {
		t.Fatal(err)
	}
	caches := "as the step before left them (BENCH_CACHE=warm)"
	if r.cold {
		caches = "dropped before each step"
	}
	fmt.Printf("\n%s: %d processors, Linux %s, filesystem type %#x, page caches %s\nEach time includes the sync of the filesystem behind the command.\n", where, runtime.GOMAXPROCS(0),
		unix.ByteSliceToString(release.Release[:]), fs.Type, caches)
	for _, p := range r.programs {
		fmt.Printf("  %s: %s\n", p.name, p.note)
	}
}

// steps is the protocol, BENCH_N times.
func (r *run) steps(t *testing.T) {
	t.Helper()
	for range number(t, "BENCH_N", 3) {
		r.each(t, "first backup", r.full)
		r.each(t, "again, unchanged", r.backup("again"))
		r.change(t, r.live, 1)
		r.each(t, "after 1 % of pages changed", r.backup("changed"))
		r.each(t, "restore into an empty directory", r.restore)
		r.each(t, "restore over old data with 1 % changed", r.again)
		r.change(t, r.live, 0)
		r.clear(t)
	}
	r.show(t, map[string][]Aim{
		"first backup":                           {{Against: "restic", Times: 1.6}},
		"again, unchanged":                       {{Seconds: 0.2}},
		"after 1 % of pages changed":             {{Against: "restic", Times: 4}, {Against: "restic", Bytes: 1.0 / 3}},
		"restore into an empty directory":        {{Against: "restic", Times: 2.5}, {Against: "tar|zstd", Times: 1.5}},
		"restore over old data with 1 % changed": {{Against: "restic", Times: 5}},
	})
}
