// Package late dispatches the worker's role, also where a gate goes on as the worker. It is apart from
// package role because Go initialises a package only when all its imports are ready: what the worker
// needs (path/filepath, encoding/json) would drag parts of etcd and protobuf in front of the guard.
//
// Promise: a worker runs before the full program is initialised. Non-promise: it is not as early as a
// guard. Blank-imported by cmd/interlock alone.
package late

import (
	"os"

	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/supervise"
)

func init() {
	if len(os.Args) == 0 {
		return
	}
	if os.Args[0] == supervise.RoleWorkerSpare { // forked ahead: it waits here, where all is ready
		if code := supervise.Spare(); code != supervise.BeWorker {
			os.Exit(code)
		}
	}
	if os.Args[0] == supervise.RoleWorker {
		os.Exit(worker.Main())
	}
}
