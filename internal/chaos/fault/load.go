package fault

import (
	"context"
	"errors"
)

func loads() []Fault {
	return []Fault{
		{Name: "cpu-load", Class: Other, Weight: 1, Min: 1000 * ms, Max: 4000 * ms, Inject: load(8, "while :; do :; done")},
		{Name: "fork-storm", Class: Other, Weight: 1, Min: 500 * ms, Max: 2000 * ms,
			Inject: load(1, "i=0; while [ $i -lt 300 ]; do sleep 30 & i=$((i+1)); done; wait")},
		{Name: "memory-load", Class: Other, Weight: 1, Min: 500 * ms, Max: 3000 * ms, Inject: hog},
	}
}

// load runs some copies of a shell script beside the contenders, and kills them with all below.
func load(copies int, script string) func(context.Context, *Env) (Heal, error) {
	return func(_ context.Context, e *Env) (Heal, error) {
		var ends []func() error
		heal := func(context.Context) error {
			var errs []error
			for _, end := range ends {
				errs = append(errs, end())
			}
			return errors.Join(errs...)
		}
		for range copies {
			end, err := e.Field.Beside("/bin/sh", "-c", script)
			if err != nil {
				return heal, err
			}
			ends = append(ends, end)
		}
		return heal, nil
	}
}

// hog takes 1 GiB, quickly.
func hog(_ context.Context, e *Env) (Heal, error) {
	end, err := e.Field.Beside(e.Field.Payload, "-log", "/dev/null", "-token", "1", "-host", "hog", "-memory", "1024", "-tick", "1s")
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return end() }, nil
}
