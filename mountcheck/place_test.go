package mountcheck

import "testing"

// TestPlace: what a container sees of its host is told by the mount above.
func TestPlace(t *testing.T) {
	tb := parse(t, `27 1 0:50 / / rw - overlay overlay rw
30 27 0:40 / /direct rw - nfs4 nas:/exp rw
31 27 0:40 / /direct-slave rw master:5 - nfs4 nas:/exp rw
32 27 8:1 /srv /parent rw master:7 - ext4 /dev/sda1 rw
33 32 0:40 / /parent/vol rw master:5 - nfs4 nas:/exp rw
34 32 8:1 /srv/plain /parent/plain rw - ext4 /dev/sda1 rw
35 27 8:1 /both /both rw shared:9 - ext4 /dev/sda1 rw
36 35 0:40 / /both/vol rw - nfs4 nas:/exp rw
`)
	for path, want := range map[string]Place{
		"/direct": {}, "/direct-slave": {}, "/parent": {}, "/parent/vol": {Hears: true, From: true},
		"/parent/plain": {Hears: true, From: true, Inside: true}, "/both/vol": {Hears: true}, "/": {},
	} {
		got := tb.place(tb.holder(path))
		if got.Hears != want.Hears || got.From != want.From || got.Inside != want.Inside || (got.Above.ID == 0) != (path == "/") {
			t.Errorf("%s: got %+v, want %+v", path, got, want)
		}
	}
}

func TestBare(t *testing.T) {
	for _, e := range []Expect{{FSType: "nfs"}, {Source: "x"}, {Volume: "x"}, {UUID: "abcd"}} {
		if e.Bare() {
			t.Errorf("%+v is bare", e)
		}
	}
	if !(Expect{Path: "/srv", Require: []string{"rw"}}).Bare() {
		t.Error("a path and rw tell nothing apart")
	}
}
