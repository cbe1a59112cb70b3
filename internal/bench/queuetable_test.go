//go:build bench

package bench

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// settle is how long after a hand-over what it set off is still counted.
const settle = 150 * time.Millisecond

// A queueRow is what one system showed with one number of contenders.
type queueRow struct {
	joined         float64 // seconds until all waited
	memory, server float64 // KiB a contender
	idle           counters
	beats, cpu     float64
	requests       *Sample // of each release, without what comes by itself
	notified       *Sample
	granted        *Sample // ms
	leased         *Sample
}

func newQueueRow(name string) *queueRow {
	return &queueRow{requests: NewSample(name), notified: NewSample(name), granted: NewSample(name), leased: NewSample(name + ", may start")}
}

func (q *queueRow) samples() []*Sample {
	return []*Sample{q.requests, q.notified, q.granted, q.leased}
}

// queueTables keeps the medians of all sizes for the closing table.
type queueTables struct {
	order   []string
	runs    []*run
	notes   []string
	medians map[string]map[int]float64
	counts  []int
}

func newQueueTables(all []queueSystem) *queueTables {
	b := &queueTables{medians: map[string]map[int]float64{}}
	for _, s := range all {
		b.order = append(b.order, s.name)
		b.medians[s.name] = map[int]float64{}
	}
	return b
}

func (b *queueTables) leaveOut(size int, s queueSystem) {
	b.notes = append(b.notes, fmt.Sprintf("%s: %d contenders left out: %s", s.name, size, s.why))
}

func (b *queueTables) fail(size int, s queueSystem, err error) {
	b.notes = append(b.notes, fmt.Sprintf("%s: %d contenders FAILED: %v", s.name, size, err))
}

// idle counts for all systems at once what happens while nobody comes or goes.
func (b *queueTables) idle(t *testing.T, size int, window time.Duration) {
	type mark struct {
		c     counters
		beats float64
		cpu   time.Duration
	}
	take := func(r *run) mark {
		beats, err := r.crew.beats()
		if err != nil {
			t.Fatalf("%s: %v", r.sys.name, err)
		}
		return mark{r.sys.service.count(t), beats, r.crew.work()}
	}
	var before []mark
	for _, r := range b.runs {
		before = append(before, take(r))
	}
	<-time.After(window)
	for i, r := range b.runs {
		m := take(r)
		r.row.idle = m.c.since(before[i].c)
		r.row.beats = m.beats - before[i].beats
		r.row.cpu = millis(m.cpu-before[i].cpu) / r.row.idle.at.Seconds() / float64(size+1)
	}
}

// release is one round: each system hands over once.
func (b *queueTables) release(t *testing.T) {
	for _, r := range b.runs {
		if r.row.granted.Measures() {
			if err := r.release(t); err != nil {
				r.row.granted.Add(0, err)
				t.Errorf("%s: %v", r.sys.name, err)
			}
		}
	}
}

func (r *run) release(t *testing.T) error {
	svc, old := r.sys.service, r.crew.holder
	before := svc.count(t)
	h, err := r.crew.handOver()
	if err != nil {
		return err
	}
	<-time.After(settle)
	d := svc.count(t).since(before)
	r.row.requests.Add(d.requests-d.keepAlives, nil)
	r.row.notified.Add(d.notified, nil)
	r.row.granted.Add(h.granted, nil)
	if r.sys.leases {
		r.row.leased.Add(h.leased, nil)
	}
	if err := r.crew.rejoin(t, old); err != nil {
		return err
	}
	return r.requeued(t)
}

// requeued waits until as many wait as before, and what that set off is over.
func (r *run) requeued(t *testing.T) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := testkit.Monotonic() + patience; r.sys.service.queued(t) != r.waiting+1; <-tick.C {
		if testkit.Monotonic() > end {
			return fmt.Errorf("the one that released does not queue again within %v", patience)
		}
	}
	<-time.After(settle)
	return nil
}

func (b *queueTables) show(t *testing.T, size int, window time.Duration) {
	t.Helper()
	systems{dir: testkit.PublicDir(t)}.circumstances(t)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Printf("\n%d waiting behind one holder: %v of waiting, one such window (n=1)\n", size, window)
	fmt.Fprintln(w, "\trequests/s\tkeep-alives/s\twrites/s\tnotified/s\theartbeats/s\tnotified a heartbeat\twatches\tclient CPU ms/s each\tclient KiB each\tserver KiB each\tall joined in s\t")
	for _, r := range b.runs {
		fmt.Fprintln(w, r.row.idleLine(r.sys.name))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.runs {
		fmt.Println(r.crew.footing())
	}
	rows := func(i int) (all []*Sample) {
		for _, r := range b.runs {
			if s := r.row.samples()[i]; len(s.values) > 0 || s.failed != nil {
				all = append(all, s)
			}
		}
		return all
	}
	title := func(what string) string { return fmt.Sprintf("%d waiting: %s", size, what) }
	show(t, title("requests at the service for one release, without keep-alives"), "requests", nil, rows(0)...)
	show(t, title("watch events for one release"), "events", nil, rows(1)...)
	show(t, title("hand-over: release sent to the next one's grant"), "ms", nil, append(rows(2), rows(3)...)...)
	b.keep(size)
}

func (q *queueRow) idleLine(name string) string {
	per := func(v float64) string { return fmt.Sprintf("%.2f", v/q.idle.at.Seconds()) }
	each := "-"
	if q.beats > 0 {
		each = fmt.Sprintf("%.2f", q.idle.notified/q.beats)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.2f\t%.0f\t%.0f\t%.1f\t", name, per(q.idle.requests), per(q.idle.keepAlives),
		per(q.idle.writes), per(q.idle.notified), per(q.beats), each, q.idle.watches, q.cpu, q.memory, q.server, q.joined)
}

func (b *queueTables) keep(size int) {
	b.counts = append(b.counts, size)
	for _, r := range b.runs {
		s := r.row.granted
		if r.sys.leases {
			s = r.row.leased
		}
		if s.Measures() && len(s.values) > 0 {
			b.medians[r.sys.name][size] = s.Median()
		}
	}
}

// flat compares the hand-overs of all sizes with that of the smallest one, within this run.
func (b *queueTables) flat() error {
	if len(b.counts) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	slices.Sort(b.counts)
	fmt.Printf("\nhand-over until the next one may start, median in ms (ratio to %d waiting, of this run)\n", b.counts[0])
	for _, n := range b.counts {
		fmt.Fprintf(w, "\t%d waiting", n)
	}
	fmt.Fprintln(w, "\t")
	for _, name := range b.order {
		fmt.Fprint(w, name)
		for _, n := range b.counts {
			v, ok := b.medians[name][n]
			first := b.medians[name][b.counts[0]]
			switch {
			case !ok:
				fmt.Fprint(w, "\t-")
			default:
				fmt.Fprintf(w, "\t%.2f (%.2f)", v, v/first)
			}
		}
		fmt.Fprintln(w, "\t")
	}
	for _, n := range b.notes {
		fmt.Fprintln(w, n)
	}
	return w.Flush()
}
