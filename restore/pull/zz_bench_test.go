package pull

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/interlock-run/interlock/restore"
)

func TestZZBench(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	root := os.Getenv("ZZ")
	must(t, os.MkdirAll(root, 0o755))
	s := sceneIn(t, root)
	if os.Getenv("ZZSMALL") != "" {
		for d := range 200 {
			dir := filepath.Join(s.from, fmt.Sprintf("d%03d", d))
			must(t, os.MkdirAll(dir, 0o755))
			for i := range 500 {
				must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%04d", i)), noise(uint64(d*1000+i), 200+i*3), 0o644))
			}
		}
	} else {
		for i := range 6 {
			b := noise(uint64(i), 256<<20)
			for k := 0; k < len(b); k += 16384 { // half compressible
				clear(b[k : k+8192])
			}
			must(t, os.WriteFile(filepath.Join(s.from, fmt.Sprintf("f%d.ibd", i)), b, 0o644))
		}
	}
	began := time.Now()
	s.takes(t)
	t.Logf("backup %v", time.Since(began))
	s.token = 2
	prof := func(name string) func() {
		f, err := os.Create("/tmp/a-build/" + name + ".prof")
		must(t, err)
		must(t, pprof.StartCPUProfile(f))
		return func() { pprof.StopCPUProfile(); must(t, f.Close()) }
	}
	j := s.job(t, Settings{}, restore.Run)
	j.Verify = false
	stop := prof("fresh")
	began = time.Now()
	r, err := Run(t.Context(), j)
	stop()
	must(t, err)
	t.Logf("fresh %v %+v", time.Since(began), r)
	must(t, restore.StartTenure(s.target()))
	if os.Getenv("ZZSMALL") == "" {
		for i := range 6 {
			rewrite(t, filepath.Join(s.data, fmt.Sprintf("f%d.ibd", i)), uint64(i), 164)
		}
	}
	s.token = 0
	j = Job{Repo: s.repo, Target: s.target(), Choice: ChooseAlone(restore.Inspect(s.data, s.state, 0), s.found(t), "", true)}
	stop = prof("over")
	began = time.Now()
	r, err = Run(t.Context(), j)
	stop()
	must(t, err)
	t.Logf("over %v %+v", time.Since(began), r)
}
