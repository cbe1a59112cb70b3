package snapshot

import "testing"

// tinyWants are runs of small files: so many in each frame, frame behind frame in one pack.
func tinyWants(frames, each int) []Want {
	var list []Want
	for f := range frames {
		frame := Frame{Pack: Pack{Owner: "x"}, Off: int64(f) * 1000, Stored: 1000, Raw: int64(each) * 10}
		for i := range each {
			list = append(list, Want{Run: Run{Len: 10, Frame: frame, Skip: int64(i) * 10}})
		}
	}
	return list
}

// A request of very many small files is cut, so that those who wait for them do not wait for all of a
// pack, and other flights have something to do.
func TestPlanCutsSmallFiles(t *testing.T) {
	list, err := plan(tinyWants(20, 500))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, q := range list {
		n := 0
		for _, f := range q.frames {
			n += len(f.wants)
		}
		if n != q.wants || n >= requestWants+500 {
			t.Errorf("a request of %d wants (said %d), expected less than %d", n, q.wants, requestWants+500)
		}
		sum += n
	}
	if sum != 20*500 || len(list) < 4 {
		t.Errorf("%d wants in %d requests", sum, len(list))
	}
	if list, err = plan(tinyWants(20, 5)); err != nil || len(list) != 1 {
		t.Errorf("few wants: %d requests, %v, expected one", len(list), err)
	}
}
