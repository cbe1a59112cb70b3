package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Sizes of database pages.
const (
	innodbPage = 16 << 10
	pgPage     = 8 << 10
)

// A Tree is what is backed up: shaped like a data directory of MariaDB and PostgreSQL, and the same bytes
// for the same Seed.
type Tree struct {
	Dir   string
	MiB   int // size of all tables together
	Files int // small files beside them
	Seed  uint64
}

// A table is one file of pages. Half of all is one table, so that work inside one file shows.
type table struct {
	name    string
	part    int // of the whole: one in so many
	page    int
	written int // in percent; what is left is zeros
}

func tables() []table {
	list := []table{
		{"app/orders.ibd", 2, innodbPage, 100},
		{"app/events.ibd", 4, innodbPage, 100},
		{"ib_logfile0", 64, innodbPage, 100},
		{"ib_logfile1", 64, innodbPage, 0}, // as after a resize
	}
	for i := range 4 {
		list = append(list, table{fmt.Sprintf("pg/base/16384/%d", 24576+i), 32, pgPage, 100})
	}
	return list
}

// Make writes the tree into an empty directory.
func (t Tree) Make() error {
	for _, d := range []string{"app", "mysql", "pg/base/16384", "pg/pg_wal", "small"} {
		if err := os.MkdirAll(filepath.Join(t.Dir, d), 0o750); err != nil {
			return err
		}
	}
	words := vocabulary()
	for i, f := range tables() {
		if err := t.table(f, uint64(i), words); err != nil {
			return err
		}
	}
	if err := t.undo(words); err != nil {
		return err
	}
	if err := Small(filepath.Join(t.Dir, "small"), t.Seed, max(t.Files, 1), 60<<10); err != nil {
		return err
	}
	// One of each special case that a restore must get right.
	return errors.Join(
		os.WriteFile(filepath.Join(t.Dir, "empty"), nil, 0o600),
		os.Link(filepath.Join(t.Dir, "small", smallName(0)), filepath.Join(t.Dir, "mysql/hardlink.frm")),
		os.Symlink("../app/orders.ibd", filepath.Join(t.Dir, "mysql/orders.isl")))
}

func (t Tree) table(f table, number uint64, words [][]byte) error {
	pages := t.MiB << 20 / f.part / f.page
	p := pager{seed: t.Seed, table: number, words: words}
	return write(filepath.Join(t.Dir, f.name), func(w io.Writer) error {
		page := make([]byte, f.page)
		for n := range pages {
			clear(page)
			if n*100 < pages*f.written {
				p.fill(page, n, 0)
			}
			if _, err := w.Write(page); err != nil {
				return err
			}
		}
		return nil
	})
}

// undo is a sparse file: one part in 16 is data.
func (t Tree) undo(words [][]byte) error {
	name, size := filepath.Join(t.Dir, "undo_001"), int64(t.MiB)<<20/32
	p := pager{seed: t.Seed, table: 100, words: words}
	err := write(name, func(w io.Writer) error {
		page := make([]byte, innodbPage)
		for n := range int(size / 16 / innodbPage) {
			p.fill(page, n, 0)
			if _, err := w.Write(page); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, os.Truncate(name, size))
}

func write(name string, fill func(io.Writer) error) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(fill(w), w.Flush())
}

// A pager makes the pages of one table. Each page depends on its number and version alone.
type pager struct {
	seed, table uint64
	words       [][]byte
}

// fill writes a header that differs on every page, then rows of ids, words and random bytes, and leaves
// the fill factor's share of zeros.
func (p *pager) fill(page []byte, number int, version uint64) {
	clear(page)
	r := rand.New(rand.NewPCG(p.seed<<32|p.table<<16|version, uint64(number)))
	binary.BigEndian.PutUint32(page[0:], r.Uint32()) // checksum
	binary.BigEndian.PutUint32(page[4:], uint32(number))
	binary.BigEndian.PutUint32(page[8:], uint32(number)-1)
	binary.BigEndian.PutUint32(page[12:], uint32(number)+1)
	binary.BigEndian.PutUint64(page[16:], r.Uint64()>>16) // LSN
	binary.BigEndian.PutUint16(page[24:], 0x45bf)         // FIL_PAGE_INDEX
	end := len(page) - len(page)/16 - r.IntN(len(page)/8)
	id := uint64(number) * 100
	for at := 38; at < end-260; id++ {
		binary.BigEndian.PutUint64(page[at:], id)
		binary.BigEndian.PutUint64(page[at+8:], r.Uint64())
		binary.BigEndian.PutUint64(page[at+16:], r.Uint64())
		binary.BigEndian.PutUint32(page[at+24:], 1700000000+uint32(id))
		at += 28
		for range 5 + r.IntN(12) {
			at += copy(page[at:], p.words[r.IntN(len(p.words))])
			page[at] = ' '
			at++
		}
	}
	binary.BigEndian.PutUint64(page[len(page)-8:], uint64(number))
}

// Change rewrites one in a hundred pages of the largest table in place, the same ones each time; version 0
// is what Make wrote. It tells how many.
func (t Tree) Change(version uint64) (changed int, err error) {
	f, err := os.OpenFile(filepath.Join(t.Dir, tables()[0].name), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	pages := t.MiB << 20 / tables()[0].part / innodbPage
	chosen := rand.New(rand.NewPCG(t.Seed, 99)).Perm(pages)[:max(pages/100, 1)]
	p := pager{seed: t.Seed, words: vocabulary()}
	page := make([]byte, innodbPage)
	for _, n := range chosen {
		p.fill(page, n, version)
		if _, err := f.WriteAt(page, int64(n)*innodbPage); err != nil {
			return 0, err
		}
	}
	return len(chosen), nil
}

// Small writes so many files of 150 bytes to the largest size, most of them small, at most a thousand in a
// folder.
func Small(dir string, seed uint64, count, largest int) error {
	r, words := rand.New(rand.NewPCG(seed, 7)), vocabulary()
	var buf []byte
	for i := range count {
		if i%1000 == 0 {
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(smallName(i))), 0o750); err != nil {
				return err
			}
		}
		size := int(math.Exp(5 + r.Float64()*(math.Log(float64(largest))-5)))
		for buf = buf[:0]; len(buf) < size; {
			buf = append(append(buf, words[r.IntN(len(words))]...), ' ')
		}
		if err := os.WriteFile(filepath.Join(dir, smallName(i)), buf[:size], 0o640); err != nil {
			return err
		}
	}
	return nil
}

func smallName(i int) string { return fmt.Sprintf("%04d/%03d.frm", i/1000, i%1000) }

// vocabulary is the same for all; its size sets how well rows compress.
func vocabulary() [][]byte {
	r := rand.New(rand.NewPCG(42, 42))
	list := make([][]byte, 4096)
	for i := range list {
		list[i] = make([]byte, 3+r.IntN(8))
		for j := range list[i] {
			list[i][j] = byte('a' + r.IntN(26))
		}
	}
	return list
}
