package fstree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// A Difference is one thing in which two trees differ.
type Difference struct{ Path, What string }

// String is the difference as one line.
func (d Difference) String() string { return fmt.Sprintf("%q: %s", d.Path, d.What) }

// EqualOptions say what is compared.
type EqualOptions struct {
	Limit       int  // of differences; 0: 10
	AnyOwner    bool // who is not root restores none
	OnlyEntries bool // no content
}

// Equal compares two trees: which entries there are, their content and all of their metadata that is kept.
// It gives the first differences, none if they are equal; the error says that one could not be read.
func Equal(a, b *Tree, o EqualOptions) ([]Difference, error) {
	if o.Limit <= 0 {
		o.Limit = 10
	}
	c := &comparer{a: a, b: b, o: o}
	nextA, stopA := iter.Pull2(a.Walk())
	defer stopA()
	nextB, stopB := iter.Pull2(b.Walk())
	defer stopB()
	ea, erra, oka := nextA()
	eb, errb, okb := nextB()
	for (oka || okb) && len(c.found) < o.Limit {
		if err := errors.Join(erra, errb); err != nil {
			return c.found, err
		}
		order := 0
		switch {
		case !oka:
			order = 1
		case !okb:
			order = -1
		default:
			order = Compare(ea.Path, eb.Path)
		}
		if err := c.pair(order, &ea, &eb); err != nil {
			return c.found, err
		}
		if order <= 0 {
			ea, erra, oka = nextA()
		}
		if order >= 0 {
			eb, errb, okb = nextB()
		}
	}
	return c.found, nil
}

// A comparer is one comparison.
type comparer struct {
	a, b  *Tree
	o     EqualOptions
	found []Difference
}

func (c *comparer) differ(path, format string, args ...any) {
	c.found = append(c.found, Difference{Path: path, What: fmt.Sprintf(format, args...)})
}

func (c *comparer) pair(order int, a, b *Entry) error {
	switch {
	case order < 0:
		c.differ(a.Path, "%s is only in %q", a.Kind, c.a.path)
		return nil
	case order > 0:
		c.differ(b.Path, "%s is only in %q", b.Kind, c.b.path)
		return nil
	}
	c.entries(a, b)
	if a.Kind != File || b.Kind != File || a.Link != "" || b.Link != "" || a.Size != b.Size || c.o.OnlyEntries {
		return nil
	}
	return c.content(a, b)
}

func (c *comparer) entries(a, b *Entry) {
	checks := []struct {
		what  string
		a, b  any
		quiet bool
	}{
		{"kind", a.Kind, b.Kind, false},
		{"size", a.Size, b.Size, false},
		{"mode", fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", b.Mode), false},
		{"owner", a.UID, b.UID, c.o.AnyOwner},
		{"group", a.GID, b.GID, c.o.AnyOwner},
		{"mtime", a.Mtime.Std().UTC(), b.Mtime.Std().UTC(), false},
		{"target", a.Target, b.Target, false},
		{"first name", a.Link, b.Link, false},
		{"device", a.Device, b.Device, false},
	}
	for _, k := range checks {
		if k.a != k.b && !k.quiet {
			c.differ(a.Path, "%s is %v and %v", k.what, k.a, k.b)
		}
	}
	c.xattrs(a, b)
}

func (c *comparer) xattrs(a, b *Entry) {
	left := map[string][]byte{}
	for _, x := range a.Xattrs {
		left[x.Name] = x.Value
	}
	for _, x := range b.Xattrs {
		v, there := left[x.Name]
		if !there || !bytes.Equal(v, x.Value) {
			c.differ(a.Path, "extended attribute %s is %q and %q", x.Name, v, x.Value)
		}
		delete(left, x.Name)
	}
	for name, v := range left {
		c.differ(a.Path, "extended attribute %s is %q and absent", name, v)
	}
}

// content compares where either of the two has data; the rest is holes in both.
func (c *comparer) content(a, b *Entry) (err error) {
	ra, err := c.a.Open(*a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ra.Close()) }()
	rb, err := c.b.Open(*b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rb.Close()) }()
	sides := []*Reader{ra}
	if a.Sparse || b.Sparse {
		sides = append(sides, rb)
	}
	for _, side := range sides {
		for run, err := range side.Runs() {
			if err != nil {
				return err
			}
			off, err := firstOff(ra, rb, run)
			if err != nil {
				return err
			}
			if off >= 0 {
				c.differ(a.Path, "content differs from byte %d on", off)
				return nil
			}
		}
	}
	return errors.Join(ra.Check(), rb.Check())
}

// firstOff is where the content begins to differ in a run, or -1.
func firstOff(a, b *Reader, run Run) (int64, error) {
	var bufs [2][]byte
	for i := range bufs {
		bufs[i] = make([]byte, min(run.Len, 256<<10))
	}
	for off, end := run.Off, run.Off+run.Len; off < end; {
		n := int(min(end-off, int64(len(bufs[0]))))
		for i, r := range []*Reader{a, b} {
			if _, err := r.ReadAt(bufs[i][:n], off); err != nil && !errors.Is(err, io.EOF) {
				return -1, err
			}
		}
		for i := range n {
			if bufs[0][i] != bufs[1][i] {
				return off + int64(i), nil
			}
		}
		off += int64(n)
	}
	return -1, nil
}
