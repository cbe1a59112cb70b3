package probe

import (
	"reflect"
	"testing"
)

func TestPacketsSurviveTheWire(t *testing.T) {
	ident := Ident{ID: 7, Unique: 1 << 40, Major: 8, Minor: 1, Subvol: true, Pinned: true}
	req := Request{Number: 1 << 50, Want: ident, Path: "/a b", Steps: []Step{
		{Op: OpStatfs, Rel: "db"}, {Op: OpWrite, Option: true, Limit: 9, Text: "x", Source: "/dev/a"},
	}}
	if got, err := DecodeRequest(req.Encode()); err != nil || !reflect.DeepEqual(got, req) {
		t.Errorf("got %+v, %v", got, err)
	}
	all := []Reply{{Stage: StageFsync, Status: StatusErrno, Errno: 512, Got: ident, Data: []byte("data")}, {Data: []byte{}}}
	if got, err := decodeReplies(all[1].append(all[0].append(nil))); err != nil || !reflect.DeepEqual(got, all) {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := len(Reply{}.append(nil)); n != replySize {
		t.Errorf("a reply without data has %d bytes, not %d", n, replySize)
	}
	space := Space{Blocks: 1, Avail: 2, Files: 3, Free: 4, ReadOnly: true}
	if got, err := DecodeSpace(space.encode()); err != nil || got != space {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCutPacketsAreRefused(t *testing.T) {
	whole := Request{Path: "/mnt", Steps: []Step{{Op: OpRead, Rel: "file"}, {Op: OpStatfs}}}.Encode()
	for n := range whole {
		if _, err := DecodeRequest(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(whole))
		}
	}
	if _, err := DecodeRequest(append(whole, 0)); err == nil {
		t.Error("a byte too many was taken")
	}
	if _, err := DecodeRequest(Request{Path: "/mnt"}.Encode()); err == nil {
		t.Error("nothing to do was taken")
	}
	if _, err := DecodeRequest(Request{Steps: make([]Step, maxSteps+1)}.Encode()); err == nil {
		t.Error("a step too many was taken")
	}
	reply := Reply{Data: []byte("x")}.append(nil)
	for n := 1; n < len(reply); n++ {
		if _, err := decodeReplies(reply[:n]); err == nil {
			t.Errorf("%d of %d bytes of a reply were taken", n, len(reply))
		}
	}
}

func TestSame(t *testing.T) {
	a := Ident{ID: 7, Unique: 70, Major: 8, Minor: 1}
	for name, c := range map[string]struct {
		change func(want, got *Ident)
		same   bool
	}{
		"equal":               {func(w, g *Ident) {}, true},
		"id reused":           {func(w, g *Ident) { g.Unique = 71 }, false},
		"no unique, other id": {func(w, g *Ident) { g.Unique, g.ID = 0, 8 }, false},
		"table's device":      {func(w, g *Ident) { g.Unique, g.Minor = 0, 2 }, true},
		"pinned device":       {func(w, g *Ident) { w.Pinned, g.Unique, g.Minor = true, 0, 2 }, false},
		"device alone":        {func(w, g *Ident) { g.Unique, g.ID, g.Minor = 0, 0, 2 }, false},
		"subvolume alone":     {func(w, g *Ident) { w.Subvol, g.Unique, g.ID, g.Minor = true, 0, 0, 2 }, true},
	} {
		want, got := a, a
		c.change(&want, &got)
		if want.Same(got) != c.same {
			t.Errorf("%s: %v", name, !c.same)
		}
	}
}
