//go:build bench

package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/fstree"
)

// each lets all programs do one step, another one first in each round.
func (r *run) each(t *testing.T, step string, do func(*testing.T, string, *program) error) {
	t.Helper()
	for i := range r.programs {
		p := r.programs[(i+r.round)%len(r.programs)]
		if row := r.row(p, step); row.Measures() {
			if err := do(t, step, p); err != nil {
				p.fail(step, err)
				fmt.Printf("%s: %s: FAILED: %v\n", p.name, step, err)
			}
		}
	}
	if step == r.order[0] {
		r.round++
	}
}

// row is where the figures of a step are, with what is already known to be wrong.
func (r *run) row(p *program, step string) *Row {
	if p.rows[step] == nil {
		row := NewRow(p.name)
		if missing := p.missing(); missing != "" {
			row.Absent = missing + " is not installed"
		}
		for _, before := range r.order {
			if done := p.rows[before]; done != nil && done.Failed != nil {
				row.Fail(fmt.Errorf("%s: %w", before, done.Failed))
				break
			}
		}
		p.rows[step] = row
		if !slices.Contains(r.order, step) {
			r.order = append(r.order, step)
		}
	}
	return p.rows[step]
}

// fail takes a step out, and all others: what follows would be about something else.
func (p *program) fail(step string, err error) {
	p.rows[step].Fail(err)
	for name, row := range p.rows {
		if name != step && row.Measures() && len(row.values) == 0 {
			row.Fail(fmt.Errorf("%s: %w", step, err))
		}
	}
}

// take measures one call and books it.
func (r *run) take(p *program, step string, c call, written string) error {
	if err := r.settle(); err != nil {
		return err
	}
	before, err := bytesIn(p.place.repo)
	if err != nil {
		return err
	}
	f, err := c.measure(written)
	if err != nil {
		return err
	}
	after, err := bytesIn(p.place.repo)
	load, lerr := os.ReadFile("/proc/loadavg")
	if err := errors.Join(err, lerr); err != nil {
		return err
	}
	fig := Figure{f.wall.Seconds(), f.cpu.Seconds(), f.rss, f.pss, float64(after-before) / (1 << 20)}
	fmt.Printf("%-10s %-40s %8.2f s (sync %.2f) %8.2f CPU s %6.0f MiB %9.1f MiB stored; load %.4s\n", p.name, step, fig.Wall, f.sync.Seconds(), fig.CPU, fig.RSS, fig.Stored, load)
	p.rows[step].Add(fig)
	return nil
}

// settle makes all steps begin alike: nothing is waiting to be written, and nothing is cached.
func (r *run) settle() error {
	unix.Sync()
	if !r.cold {
		return nil
	}
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0)
}

func bytesIn(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// full makes a new repository and takes the first backup into it.
func (r *run) full(t *testing.T, step string, p *program) error {
	if err := errors.Join(os.MkdirAll(p.place.dir, 0o755), os.MkdirAll(p.place.repo, 0o755)); err != nil {
		return err
	}
	for _, c := range p.init(p.place) {
		if _, err := c.measure(p.place.repo); err != nil {
			return err
		}
	}
	return r.backup("first")(t, step, p)
}

func (r *run) backup(tag string) func(*testing.T, string, *program) error {
	return func(_ *testing.T, step string, p *program) error {
		p.last = tag
		return r.take(p, step, p.tool.backup(p.place, tag), p.place.repo)
	}
}

// restore restores and compares. Nothing is removed before the end of the round: filesystems are slow for a
// while after that.
func (r *run) restore(t *testing.T, step string, p *program) error {
	to := filepath.Join(p.place.dir, "out")
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	if err := r.take(p, step, p.tool.restore(p.place, p.last, to), to); err != nil {
		return err
	}
	return r.compare(p, to)
}

// again restores once more over what is there, of which 1 % is made what it was before.
func (r *run) again(t *testing.T, step string, p *program) error {
	to := filepath.Join(p.place.dir, "out")
	r.change(t, to, 0)
	over := p.over
	if over == nil {
		over = p.tool.restore
	}
	if err := r.take(p, step, over(p.place, p.last, to), to); err != nil {
		return err
	}
	return r.compare(p, to)
}

// compare is strict with ourselves: all that is kept, to the nanosecond.
func (r *run) compare(p *program, to string) error {
	if p == r.programs[0] {
		return equal(r.live, to)
	}
	return Same(r.live, to, p.loses)
}

func equal(want, got string) (err error) {
	a, err := fstree.Open(want, fstree.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := fstree.Open(got, fstree.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	found, err := fstree.Equal(a, b, fstree.EqualOptions{Limit: 1})
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("restored tree differs: %v", found[0])
	}
	return err
}

// change makes one in a hundred pages those of another version.
func (r *run) change(t *testing.T, dir string, version uint64) {
	t.Helper()
	tree := r.made
	tree.Dir = dir
	if _, err := tree.Change(version); err != nil {
		t.Fatal(err)
	}
}

// clear removes the repositories, for the next round. A bucket stays, empty.
func (r *run) clear(t *testing.T) {
	t.Helper()
	for _, p := range r.programs {
		if err := os.RemoveAll(p.place.dir); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadDir(p.place.repo)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range left {
			if err := os.RemoveAll(filepath.Join(p.place.repo, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// show writes a table for each step. That something of ours failed fails the run.
func (r *run) show(t *testing.T, aims map[string][]Aim) {
	t.Helper()
	for _, step := range r.order {
		var rows []*Row
		for _, p := range r.programs {
			rows = append(rows, r.row(p, step))
		}
		wished := slices.DeleteFunc(aims[step], func(a Aim) bool { // of programs that take no part in this table
			return a.Against != "" && !slices.ContainsFunc(rows, func(r *Row) bool { return r.Name == a.Against })
		})
		if err := Table(os.Stdout, step, rows, wished); err != nil {
			t.Fatal(err)
		}
		if err := rows[0].Failed; err != nil {
			t.Errorf("%s: %s: %v", rows[0].Name, step, err)
		}
	}
}
