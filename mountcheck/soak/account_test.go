package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// account is what a process uses.
type account struct{ kib, threads, files int }

func (a account) most(b account) account {
	return account{max(a.kib, b.kib), max(a.threads, b.threads), max(a.files, b.files)}
}

func accountOf(t *testing.T, pid int) account {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return account{kib: number(t, status, "RssAnon:"), threads: number(t, status, "Threads:"), files: len(files)}
}

func number(t *testing.T, status []byte, field string) int {
	t.Helper()
	_, rest, _ := strings.Cut(string(status), field)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// helpersOf are the probe helpers of a mount, as PID and state, whoever started them.
func helpersOf(mount string) (all []string) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		name, rest, ok := strings.Cut(string(stat), ") ")
		if err != nil || !ok || !strings.HasSuffix(name, "("+probe.Name) || strings.HasPrefix(rest, "Z") {
			continue // it has ended, is another's, or waits to be reaped
		}
		argv, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err == nil && strings.Contains(string(argv), mount) {
			all = append(all, filepath.Base(filepath.Dir(path))+" "+rest[:1])
		}
	}
	return all
}
