package snapshot

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Whose repository is encrypted has one more object for each snapshot, in plain lines of JSON: which packs
// its manifest names, and what its own packs are as stored. So collecting, and comparing what lies in the
// store with what was written, need no identity.

// A packHead is the first line.
type packHead struct {
	Interlock  string `json:"interlock"` // "packs"
	Format     int    `json:"format"`
	Repository string `json:"repository"`
	Snapshot   ID     `json:"snapshot"`
}

// A packLine is a pack of the snapshot's own, in any order.
type packLine struct {
	Pack int   `json:"pack"`
	Size int64 `json:"size"` // as stored
	Sum  Sum   `json:"sum"`  // of that
}

// A packEnd is the last line, behind those of the owners, which are as in a manifest.
type packEnd struct {
	End   bool  `json:"end"`
	Packs int64 `json:"packs"` // of its own
}

// A packList is being written; nil where nothing is encrypted. Several goroutines add to it.
type packList struct {
	mu  sync.Mutex
	to  *hashedFile
	buf *bufio.Writer
	end packEnd
}

func (d *Draft) newPackList(scratch string) (*packList, error) {
	if d.repo.seal == nil {
		return nil, nil
	}
	f, err := unnamed(scratch)
	if err != nil {
		return nil, err
	}
	l := &packList{to: f, buf: bufio.NewWriter(f), end: packEnd{End: true}}
	if err := l.line(packHead{"packs", d.repo.Format, d.repo.ID, d.Snapshot.ID}); err != nil {
		return nil, errors.Join(err, f.file.Close())
	}
	return l, nil
}

func (l *packList) line(v any) error {
	text, err := marshalLine(nil, v)
	if err == nil {
		_, err = l.buf.Write(text)
	}
	if err != nil {
		return fmt.Errorf("write the list of packs in the scratch directory: %w", err)
	}
	return nil
}

// add notes a pack that was stored.
func (l *packList) add(number int, stored []byte) error {
	if l == nil {
		return nil
	}
	line := packLine{number, int64(len(stored)), SumOf(stored)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end.Packs++
	return l.line(line)
}

// store ends the list and stores it; nothing of a nil one.
func (l *packList) store(ctx context.Context, d *Draft, owners []ownerLine) (Object, error) {
	if l == nil {
		return Object{}, nil
	}
	for _, o := range owners {
		if err := l.line(o); err != nil {
			return Object{}, err
		}
	}
	if err := errors.Join(l.line(l.end), l.buf.Flush()); err != nil {
		return Object{}, err
	}
	object := l.to.object(l.to.size)
	return object, l.to.store(ctx, d.repo.store, d.Snapshot.ID.packsKey())
}

func (l *packList) close() error {
	if l == nil {
		return nil
	}
	return l.to.file.Close()
}

// readList reads the list of a live snapshot: the packs that it names, and each of its own to own, which may
// be nil.
func (r *Repository) readList(ctx context.Context, s Snapshot, own func(packLine) error) (packSet, error) {
	return r.readListOf(ctx, s, true, own)
}

// readListOf is readList for one of which the catalog's size and hash are not known any more, too.
func (r *Repository) readListOf(ctx context.Context, s Snapshot, known bool, own func(packLine) error) (packSet, error) {
	body, err := r.store.Get(ctx, s.ID.packsKey(), 0, -1)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID.packsKey(), err)
	}
	set, err := r.parseList(newTextLines(body, s.Packs), s.ID, known, own)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID.packsKey(), err)
	}
	return set, nil
}

// An anyPackLine is any line but the first.
type anyPackLine struct {
	Pack *int  `json:"pack"`
	Size int64 `json:"size"`
	Sum  Sum   `json:"sum"`
	ownerLine
	End   bool            `json:"end"`
	Packs json.RawMessage `json:"packs"`
}

func (r *Repository) parseList(l *lines, id ID, known bool, own func(packLine) error) (packSet, error) {
	if err := r.listHead(l, id); err != nil {
		return nil, err
	}
	set, end := packSet{}, packEnd{}
	for count := int64(0); ; {
		line, err := l.next()
		switch {
		case errors.Is(err, io.EOF) && end.End && end.Packs == count:
			if !known {
				return set, nil
			}
			return set, l.check()
		case errors.Is(err, io.EOF) || err == nil && end.End:
			return nil, damaged("ends with %+v after %d packs", end, count)
		case err != nil:
			return nil, err
		}
		var v anyPackLine
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, damaged("line %.80q: %v", line, err)
		}
		if v.Pack != nil {
			count++
		}
		if err := v.take(set, &end, own); err != nil {
			return nil, err
		}
	}
}

func (r *Repository) listHead(l *lines, id ID) error {
	line, err := l.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var h packHead
	if err := json.Unmarshal(line, &h); err != nil || h != (packHead{"packs", r.Format, r.ID, id}) {
		return damaged("begins with %.80q, expected the list of packs of %s", line, id)
	}
	return nil
}

// take judges one line.
func (v *anyPackLine) take(set packSet, end *packEnd, own func(packLine) error) error {
	switch {
	case v.Pack != nil:
		if *v.Pack < 0 || *v.Pack >= maxPacks || v.Size <= 0 {
			return damaged("pack %d of %d bytes", *v.Pack, v.Size)
		}
		if own == nil {
			return nil
		}
		return own(packLine{*v.Pack, v.Size, v.Sum})
	case v.End:
		end.End = true
		if err := json.Unmarshal(v.Packs, &end.Packs); err != nil {
			return damaged("end: %v", err)
		}
		return nil
	}
	var text string
	if err := json.Unmarshal(v.Packs, &text); err != nil || v.Owner == "" {
		return damaged("neither a pack nor an owner")
	}
	return set.addRanges(v.Owner, text)
}
