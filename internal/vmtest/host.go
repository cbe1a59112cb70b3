package vmtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// bootTime is what a machine may need around its tests on a loaded host.
const bootTime = 3 * time.Minute

// host boots the machine, again after each reset that a test has announced, and gives the tests' exit code.
func host(f Family) (int, error) {
	flag.Parse()
	limit := testTimeout() + bootTime
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	k, err := findKernel(ctx)
	if err != nil {
		return 1, err
	}
	root, err := image(ctx, f, k, forwarded(os.Args[1:]))
	if err != nil {
		return 1, err
	}
	defer root.Close() //nolint:errcheck // it has no name and nothing that is read later
	only, failed := "", false
	for boot := 0; boot <= f.Resets; boot++ {
		m, err := newMachine(f, k, root, boot, only)
		if err != nil {
			return 1, err
		}
		code, err := m.run(ctx)
		var reset *announced
		switch {
		case ctx.Err() != nil:
			return 1, errors.Join(fmt.Errorf("no verdict within %v", limit), m.lastWords())
		case errors.As(err, &reset):
			only, failed = reset.test, failed || m.failed
		case err != nil:
			return 1, errors.Join(err, m.lastWords())
		case failed:
			return max(code, 1), m.wordsIf(code != 0)
		default:
			return code, m.wordsIf(code != 0)
		}
	}
	return 1, fmt.Errorf("%s announced a reset, but its family has no more than %d", only, f.Resets)
}

func testTimeout() time.Duration {
	const otherwise = 10 * time.Minute
	f := flag.Lookup("test.timeout")
	if f == nil {
		return otherwise
	}
	d, err := time.ParseDuration(f.Value.String())
	if err != nil || d <= 0 {
		return otherwise
	}
	return d
}

// forwarded are the flags that mean something inside: no file of the host can be written there.
func forwarded(args []string) []string {
	var out []string
	for _, a := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch name {
		case "test.testlogfile", "test.outputdir", "test.gocoverdir", "test.coverprofile", "test.cpuprofile", "test.memprofile", "test.blockprofile", "test.mutexprofile", "test.trace":
			continue
		}
		out = append(out, a)
	}
	return out
}
