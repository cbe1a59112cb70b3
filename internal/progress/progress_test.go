package progress_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/progress"
)

// A rig is a reporter whose clock the test turns.
type rig struct {
	now    time.Time
	state  progress.State
	ticks  chan time.Time
	read   chan struct{} // the reporter knows time and state
	period time.Duration
}

func newRig() *rig {
	return &rig{now: time.Unix(1000, 0), ticks: make(chan time.Time), read: make(chan struct{})}
}

func (g *rig) options(o progress.Options) progress.Options {
	o.Now = func() time.Time { return g.now }
	o.Read = func() progress.State {
		s := g.state
		g.read <- struct{}{}
		return s
	}
	o.Tick = func(period time.Duration) (<-chan time.Time, func()) {
		g.period = period
		return g.ticks, func() {}
	}
	return o
}

// after lets time pass, and shows the state then.
func (g *rig) after(d time.Duration, s progress.State) {
	g.now, g.state = g.now.Add(d), s
	g.ticks <- time.Time{}
	<-g.read
}

// TestJSON: each line decodes strictly, and says what follows from the states.
func TestJSON(t *testing.T) {
	g := newRig()
	var out bytes.Buffer
	r := progress.Start(g.options(progress.Options{Form: progress.JSON, Out: &out}))
	g.after(10*time.Second, progress.State{Stage: "backup", Entries: 3, Bytes: 1000, Stored: 7, Total: 4000})
	r.Stop()
	r.Stop()
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	var l progress.Line
	if err := dec.Decode(&l); err != nil {
		t.Fatal(err)
	}
	want := progress.Report{Stage: "backup", Entries: 3, Bytes: 1000, Stored: 7, Total: 4000, Rate: 100, Elapsed: 10, Left: 30}
	if l.Progress != want || dec.More() {
		t.Errorf("got %+v, want %+v and nothing more", l.Progress, want)
	}
	if g.period != 10*time.Second {
		t.Errorf("period %v, want 10s", g.period)
	}
}

// TestRateFollows: the rate is that of the last ten seconds, and a stage that begins anew is measured anew.
func TestRateFollows(t *testing.T) {
	g := newRig()
	var out bytes.Buffer
	r := progress.Start(g.options(progress.Options{Form: progress.JSON, Out: &out}))
	g.after(10*time.Second, progress.State{Bytes: 1000})
	g.after(10*time.Second, progress.State{Bytes: 6000})
	g.after(10*time.Second, progress.State{Bytes: 6000})
	g.after(10*time.Second, progress.State{Bytes: 10})
	g.after(10*time.Second, progress.State{Bytes: 30, Total: 20})
	r.Stop()
	var rates []int64
	for s := bufio.NewScanner(&out); s.Scan(); {
		var l progress.Line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Progress.Total != 0 || l.Progress.Left != 0 {
			t.Errorf("%+v: a whole that is less than its part was told", l.Progress)
		}
		rates = append(rates, l.Progress.Rate)
	}
	for i, want := range []int64{100, 500, 0, 0, 2} {
		if i >= len(rates) || rates[i] != want {
			t.Fatalf("rates %v, want 100 500 0 0 2", rates)
		}
	}
}

// TestTerminal: one line, rewritten and never wider than the terminal, wiped at the end.
func TestTerminal(t *testing.T) {
	g := newRig()
	var out bytes.Buffer
	r := progress.Start(g.options(progress.Options{Form: progress.Terminal, Out: &out, Width: func() int { return 60 }}))
	g.after(time.Second, progress.State{Stage: "restore", Entries: 12, Bytes: 3 << 20, Total: 12 << 20})
	g.after(time.Second, progress.State{Stage: "restore", Entries: 12, Bytes: 3 << 30, Total: 12 << 40})
	r.Stop()
	if g.period != 200*time.Millisecond {
		t.Errorf("period %v, want 200ms", g.period)
	}
	const wipe = "\r\x1b[K"
	lines := strings.Split(out.String(), wipe)
	if len(lines) != 4 || lines[0] != "" || lines[3] != "" || strings.Contains(out.String(), "\n") {
		t.Fatalf("%q", out.String())
	}
	if want := "restore 25%, 3.0 MiB of 12.0 MiB, 12 entries, 3.0 MiB/s, 1s"; lines[1] != want[:59] {
		t.Errorf("got  %q\nwant %q", lines[1], want[:59])
	}
	if len(lines[2]) > 59 {
		t.Errorf("%d columns: %q", len(lines[2]), lines[2])
	}
}

// TestLog: a line of the log each ten seconds.
func TestLog(t *testing.T) {
	g := newRig()
	var out bytes.Buffer
	r := progress.Start(g.options(progress.Options{Log: slog.New(slog.NewTextHandler(&out, nil))}))
	g.after(100*time.Second, progress.State{Stage: "verify", Entries: 1, Bytes: 1 << 20, Total: 2 << 20})
	r.Stop()
	for _, part := range []string{"msg=verify", "entries=1", "total=2097152", `rate="10.2 KiB/s"`, "elapsed=1m40s", "left=1m40s"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q has no %s", out.String(), part)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 40: "5.0 TiB", 1<<63 - 1: "8.0 EiB"} {
		if got := progress.Bytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// TestNoYears: a total with holes in it would promise an end in years; then none is promised.
func TestNoYears(t *testing.T) {
	g := newRig()
	var out bytes.Buffer
	r := progress.Start(g.options(progress.Options{Form: progress.JSON, Out: &out}))
	g.after(10*time.Second, progress.State{Bytes: 14, Total: 5 << 30})
	r.Stop()
	var l progress.Line
	if err := json.NewDecoder(&out).Decode(&l); err != nil || l.Progress.Left != 0 || l.Progress.Total != 5<<30 {
		t.Errorf("%+v, %v", l.Progress, err)
	}
}
