package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// packsOf reads, of a live snapshot's manifest, only the packs that it names. The whole is compared with
// its hash in the catalog. Of an encrypted repository it reads the plain list instead.
func (r *Repository) packsOf(ctx context.Context, s Snapshot) (packSet, error) {
	if r.seal != nil {
		return r.readList(ctx, s, nil)
	}
	body, err := r.store.Get(ctx, s.ID.manifestKey(), 0, -1)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID.manifestKey(), err)
	}
	l, err := newLines(body, s.Manifest, nil)
	if err != nil {
		return nil, err
	}
	set, err := ownersIn(l)
	if err := errors.Join(err, l.close()); err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID.manifestKey(), err)
	}
	return set, nil
}

func ownersIn(l *lines) (packSet, error) {
	set, ended := packSet{}, false
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) && ended {
			return set, l.check()
		}
		if errors.Is(err, io.EOF) {
			return nil, damaged("cut off: no end line")
		}
		if err != nil {
			return nil, err
		}
		ended = bytes.HasPrefix(line, []byte(`{"end":true`))
		if !bytes.HasPrefix(line, []byte(`{"owner":`)) {
			continue
		}
		var o ownerLine
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, damaged("owner: %v", err)
		}
		if err := set.addRanges(o.Owner, o.Packs); err != nil {
			return nil, err
		}
	}
}
