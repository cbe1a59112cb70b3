package mountcheck

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// From umount -l to the finding.
func BenchmarkUnmountToFinding(b *testing.B) {
	dir := directory(b, "bench")
	worst := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		mount(b, "bench", dir, "tmpfs", 0, "size=1m")
		w, err := Watch(b.Context(), Config{Expect: []Expect{{Path: dir}}, Period: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		want(b, w, dir, OK)
		b.StartTimer()
		began := time.Now()
		unmount(b, dir, unix.MNT_DETACH)
		want(b, w, dir, Absent)
		worst = max(worst, time.Since(began))
		b.StopTimer()
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(worst.Microseconds()), "us-max")
}

// One whole probe: statfs, sentinel, write, fsync, read back, unlink.
func BenchmarkProbe(b *testing.B) {
	for name, dir := range map[string]string{"tmpfs": tmpfs(b, "probe"), "ext4": ext4(b)} {
		b.Run(name, func(b *testing.B) {
			v := newEnv(Config{})
			defer v.close()
			t := newTarget(v, Expect{Path: dir})
			t.writes.on = true
			for b.Loop() {
				t.examine(b.Context())
			}
			if f := t.verdict(time.Now()); f.Kind != OK {
				b.Fatalf("got %+v", f)
			}
			if err := t.prober.end(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
