package dump

import (
	"errors"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/item"
)

// store puts what was read into an open part of its band.
func (f *fetcher) store(o *op) (err error) {
	part := f.parts[o.band]
	if part != nil && part.Full() {
		f.parts[o.band] = nil
		if err := part.Close(); err != nil {
			return err
		}
		part = nil
	}
	if part == nil {
		if part, err = f.d.writer.Part(o.band); err != nil {
			return err
		}
		f.parts[o.band] = part
		breakpoint.At("warm:part")
	}
	e := &o.entry
	f.out = item.Item{Key: e.Key, Value: f.reply.Value, Flags: uint32(f.reply.Flags), Expires: f.d.ends(o, f.reply.Left),
		Access: max(f.d.clock.Host(e.Access)/1000, 0), Fetched: e.Fetched, Size: e.Size}
	return part.Add(&f.out)
}

// ends is when an item ends, in milliseconds of the host's clock. The listed end is exact, unless somebody has
// changed it: then it is counted from when the server was asked, which it may have answered long before the
// answer was read.
func (d *dump) ends(o *op, left int64) int64 {
	if left < 0 {
		return 0
	}
	end, listed := o.asked+left, o.entry.Expires
	if listed != -1 && listed >= end-touchedSlack && (listed <= end+touchedSlack || listed <= d.now()+left+touchedSlack) {
		end = listed
	}
	return max(d.clock.Host(end), 1)
}

func (f *fetcher) endParts() error {
	var errs []error
	for _, part := range f.parts {
		if part != nil {
			errs = append(errs, part.Close())
		}
	}
	return errors.Join(errs...)
}
