//go:build bench

package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// Processes that dump, or load, and do nothing else, so that their memory can be measured.
const (
	dumperRole = "bench-dumper"
	loaderRole = "bench-loader"
)

// measured does what its argument says and prints the most memory that it had, in KiB.
func measured() int {
	var o dump.Options
	err := json.Unmarshal([]byte(os.Args[1]), &o)
	switch {
	case err != nil:
	case os.Args[0] == dumperRole:
		_, err = dump.Dump(context.Background(), o)
	default:
		err = loadAll(o)
	}
	// Not ru_maxrss of its own: that is inherited from whoever started the process.
	status, readErr := os.ReadFile("/proc/self/status")
	var reader unix.Rusage
	err = errors.Join(err, readErr, unix.Getrusage(unix.RUSAGE_CHILDREN, &reader))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%s %d", regexp.MustCompile(`VmHWM:\s*(\d+)`).FindSubmatch(status)[1], reader.Maxrss)
	return 0
}

func loadAll(o dump.Options) error {
	c, err := item.Open(o.Dir)
	if err != nil {
		return err
	}
	_, err = load.New(load.Options{Server: o.Server, Sources: []load.Source{{Cache: c}}}).Run(context.Background())
	return errors.Join(err, c.Close())
}

// memory tells what the dumping and the loading process take at most.
func memory(t *testing.T, s sizes) []*row {
	t.Helper()
	const aim = 64
	fits := func(ours, _, _ float64) bool { return ours <= aim }
	from := server(t, 256+s.large/4000)
	const step = 500_000
	for at := 0; at < s.large; at += step {
		loop(t, from.Addr(), 2, stores(min(step, s.large-at), func(i, _ int) warmtest.Item { return smallItem(at + i) }))
	}
	o := options(t, from)
	var rows []*row
	for _, role := range []string{dumperRole, loaderRole} {
		if role == loaderRole {
			from.Stop(t)
			from = server(t, 256+s.large/4000)
			o.Server = warmtest.Server(t, from.Addr())
		}
		own, reader := most(t, role, o)
		r := &row{name: fmt.Sprintf("memory of %s, %d items : %d MiB", role, s.large, aim), unit: "MiB", aim: "<= 64", met: fits}
		r.add(own+reader, aim)
		rows = append(rows, r)
	}
	from.Stop(t)
	return rows
}

// most is what the process and its child, if it has one, took at most, in MiB.
func most(t *testing.T, role string, o dump.Options) (own, reader float64) {
	t.Helper()
	arg, err := json.Marshal(o)
	must(t, err)
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{role, string(arg)}, Stderr: os.Stderr}
	begun := time.Now()
	out, err := cmd.Output()
	must(t, err)
	_, err = fmt.Sscan(string(out), &own, &reader)
	must(t, err)
	own, reader = own/1024, reader/1024
	t.Logf("%s: %.1f s, %.1f s of processor with its reader's; at most %.1f MiB, its reader %.1f", role, time.Since(begun).Seconds(),
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), own, reader)
	return own, reader
}

// smallItem is of 100 bytes.
func smallItem(i int) warmtest.Item {
	it := warmtest.Item{Key: []byte("small:" + strconv.Itoa(i)), Value: make([]byte, 100), Flags: uint32(i), TTL: 86400}
	copy(it.Value, it.Key)
	return it
}
