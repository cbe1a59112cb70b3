package load_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
)

const (
	more = 120_000 // items of 1000 bytes; about 56,600 fit into 64 MiB
	part = "after 15,000 new items"
)

// The table of survivors: what is loaded is the hottest, and the hottest stay when others are stored.
func TestSurvivors(t *testing.T) {
	for _, order := range []load.Order{load.HottestFirst, load.ColdestFirst} {
		t.Run(string(order), func(t *testing.T) {
			t.Parallel()
			kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
			o := options(t, kit, content(t, 10, more/10, thousand))
			o.Order = order
			r := run(t, o)
			got := survivors(t, kit, more)
			t.Logf("loaded %v", got)
			if r.Stopped != "" || r.Loaded != r.Selected || r.Loaded < 48_000 || r.Loaded > 54_000 {
				t.Errorf("report %+v, want about 51,000 without an eviction", r)
			}
			if want := [10]int{100, 100, 100, 100, got[4]}; got != want || got[4] == 0 {
				t.Errorf("survivors %v, want the hottest", got)
			}
			strangers(t, kit, 15_000)
			got = survivors(t, kit, more)
			t.Logf("%s %v", part, got)
			hot := got[0] == 100 && got[1] >= 50 // 30 % of the memory is protected: a tenth and a half
			if order == load.ColdestFirst {
				hot = got[0] == 100 && got[1] == 100 && got[2] == 100
			}
			if !hot {
				t.Errorf("%s the hottest are gone: %v", part, got)
			}
		})
	}
}

// Without a selection the first eviction ends the load, before it costs more than what is stored between two looks.
func TestFirstEvictionStops(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	o := options(t, kit, content(t, 10, more/10, thousand))
	o.All = true
	r := run(t, o)
	got := survivors(t, kit, more)
	t.Logf("survivors %v", got)
	if !strings.Contains(r.Stopped, "evict") || r.Loaded > 56_640+8_500 || got[0]+got[1] < 50 || got[2] != 100 || got[3] != 100 || got[9] != 0 {
		t.Errorf("report %+v, survivors %v", r, got)
	}
}

func TestOutOfMemoryStops(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64, Extra: []string{"-M"}})
	o := options(t, kit, content(t, 10, more/10, thousand))
	o.All = true
	r := run(t, o)
	if got := survivors(t, kit, more); r.Stopped == "" || r.OutOfMemory == 0 || got[0] != 100 || got[3] != 100 || got[9] != 0 {
		t.Errorf("report %+v, survivors %v", r, got)
	}
}

// Clients use the server while it is loaded: the first delete of any kind ends it, before it comes to what was
// deleted.
func TestDeletesStop(t *testing.T) {
	for name, command := range map[string]string{"delete": "delete %s\r\n", "meta": "md %s\r\n", "invalidate": "md %s I\r\n", "all": "flush_all\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit := testkit.Memcached(t, testkit.MemcachedOptions{})
			o := options(t, kit, content(t, 10, 3000, thousand))
			o.InUse, o.Rate = true, 20_000
			l, ended := begun(t.Context(), o)
			testkit.Wait(t, 30*time.Second, func() (bool, string) { f := l.Fraction(); return f > 0.1, fmt.Sprint(f) })
			last := thousand(29_999)
			if name != "all" {
				command = fmt.Sprintf(command, last.Key)
			}
			kit.Ask(t, command+"mn\r\n", "MN")
			r := testkit.Recv(t, time.Minute, "the end of the load", ended)
			must(t, r.err)
			why := map[bool]string{true: "flush_all", false: "delete"}[name == "all"]
			if !strings.Contains(r.Stopped, why) || r.Loaded > 25_000 {
				t.Errorf("report %+v", *r.Report)
			}
			if lines := kit.Ask(t, fmt.Sprintf("mg %s\r\nmn\r\n", last.Key), "MN"); lines[0] != "EN" {
				t.Errorf("the deleted item is there: %q", lines)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	c := content(t, 10, 1000, thousand)
	o := options(t, kit, c)
	o.Limit.Items = 1500
	if r := run(t, o); r.Loaded != 1500 || r.Selected != 1500 {
		t.Errorf("limit of items: %+v", r)
	}
	o = options(t, testkit.Memcached(t, testkit.MemcachedOptions{}), c)
	o.Limit.Bytes = 2_000_000
	if r := run(t, o); r.Loaded < 1700 || r.Loaded > 1950 {
		t.Errorf("limit of bytes: %+v", r)
	}
	o = options(t, testkit.Memcached(t, testkit.MemcachedOptions{}), c)
	o.Limit.Time, o.Rate = 3e9, 1000
	if r := run(t, o); r.Stopped == "" || r.Loaded > 6000 {
		t.Errorf("limit of time: %+v", r)
	}
}

func TestItemTooLargeForThisServer(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := content(t, 1, 3, func(i int) item.Item {
		return item.Item{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 700_000*i), Size: int64(700_000*i + 60)}
	})
	if r := run(t, options(t, kit, c)); r.Loaded != 2 || r.TooLarge != 1 {
		t.Errorf("report %+v", r.Counts)
	}
}

// The table of size classes is that of the server.
func TestSlabsAreTheServers(t *testing.T) {
	for _, args := range [][]string{nil, {"-f", "1.08"}, {"-n", "200"}, {"-I", "8m"}} {
		kit := testkit.Memcached(t, testkit.MemcachedOptions{Extra: append(args, "-vv")})
		log, err := os.ReadFile(kit.Log())
		must(t, err)
		var want []string
		for _, m := range regexp.MustCompile(`slab class +\d+: chunk size +(\d+)`).FindAllStringSubmatch(string(log), -1) {
			want = append(want, m[1])
		}
		got := load.Chunks(t.Context(), options(t, kit, nil).Server)
		if len(want) < 5 || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%v:\ngot  %v\nwant %v", args, got, want)
		}
	}
}
