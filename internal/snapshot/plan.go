package snapshot

import (
	"slices"
)

// A Want is a run that somebody wants to have.
type Want struct {
	Run   Run
	Chunk int64 // of its file
	For   any   // the caller's own: which file it is
}

const (
	planWindow   = 4 << 10   // wants that are sorted together: GiB of large files, and little memory of small ones
	requestMost  = 16 << 20  // bytes of one request
	requestWants = 1 << 10   // wants of one request that hold up another one: very small files
	requestGap   = 256 << 10 // unwanted bytes between two frames that are read rather than asked for apart
)

// A frameWant is a frame with the runs that are wanted of it.
type frameWant struct {
	frame Frame
	wants []Want
}

// A request is one read of a pack.
type request struct {
	pack     Pack
	off, end int64
	frames   []frameWant
	wants    int // of all frames
}

// plan makes requests of wants: sorted by pack and offset, each frame once, neighbours joined.
func plan(wants []Want) ([]request, error) {
	slices.SortStableFunc(wants, func(a, b Want) int { return compareFrames(a.Run.Frame, b.Run.Frame) })
	var list []request
	for len(wants) > 0 {
		n := 1
		for n < len(wants) && compareFrames(wants[n].Run.Frame, wants[0].Run.Frame) == 0 {
			n++
		}
		f := frameWant{wants[0].Run.Frame, wants[:n]}
		for _, w := range wants[:n] {
			if w.Run.Frame != f.frame {
				return nil, damaged("%s: one frame at %d is described in two ways", f.frame.Pack, f.frame.Off)
			}
		}
		list = joinRequest(list, f)
		wants = wants[n:]
	}
	return list, nil
}

// joinRequest adds a frame to the last request, or to a new one.
func joinRequest(list []request, f frameWant) []request {
	end := f.frame.Off + f.frame.Stored
	if len(list) > 0 {
		last := &list[len(list)-1]
		gap := f.frame.Off - last.end
		if last.pack == f.frame.Pack && gap >= 0 && gap <= requestGap && end-last.off <= requestMost && last.wants < requestWants {
			last.end, last.frames, last.wants = end, append(last.frames, f), last.wants+len(f.wants)
			return list
		}
	}
	return append(list, request{f.frame.Pack, f.frame.Off, end, []frameWant{f}, len(f.wants)})
}

func compareFrames(a, b Frame) int {
	if c := a.Pack.compare(b.Pack); c != 0 {
		return c
	}
	switch {
	case a.Off < b.Off:
		return -1
	case a.Off > b.Off:
		return 1
	}
	return 0
}

// Part is the chunks [from, to) of a run, as a run of its own.
func (r *Run) Part(from, to int, chunk int64) Run {
	part := *r
	part.At, part.Skip = r.At+int64(from)*chunk, r.Skip+int64(from)*chunk
	part.Len = min(int64(to)*chunk, r.Len) - int64(from)*chunk
	part.Sums = r.Sums[from:to:to]
	return part
}
