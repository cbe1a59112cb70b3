package storage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// mostHelper is what one probe helper may have resident, in KiB, all pages counted.
const mostHelper = 6 << 10

// TestAHelperIsSmall: there is one for each mount, and it lives as long as the service.
func TestAHelperIsSmall(t *testing.T) {
	t.Parallel()
	_, point := mounted(t)
	p := testkit.StartCmd(t, exec.Command(testkit.Binary(t), "mount", "watch", "--json", "--mount", point, "--probe-period", "20ms"))
	waitSaid(t, p, "ok")
	helper := onlyChild(t, p.Pid())
	<-timeAfterProbes()
	if kib := statusKiB(t, helper, "VmRSS:"); kib > mostHelper {
		t.Errorf("%d KiB are resident, expected at most %d", kib, mostHelper)
	}
}

func onlyChild(t *testing.T, pid int) (child int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, list := range lists {
		all += read(t, list)
	}
	if n, err := fmt.Sscan(all, &child); n != 1 {
		t.Fatalf("children %q: %v", all, err)
	}
	return child
}

func statusKiB(t *testing.T, pid int, field string) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), field)
	if n, err := fmt.Sscan(rest, &kib); n != 1 {
		t.Fatal(err)
	}
	return kib
}
