// Package late dispatches the roles of the worker, also where a gate goes on as the worker, of the process
// that frees what storage keeps, and of a fence agent's warden. It is apart from package role because Go initialises a package only when all
// its imports are ready: what these need (path/filepath, encoding/json) would drag parts of etcd and protobuf in
// front of the guard.
//
// Promise: they run before the full program is initialised. Non-promise: they are not as early as a guard. Blank-imported by cmd/interlock alone.
package late

import (
	"os"

	"github.com/interlock-run/interlock/fence/warden"
	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/mountcheck/rescue"
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
	switch os.Args[0] {
	case supervise.RoleWorker:
		os.Exit(worker.Main())
	case rescue.Name:
		os.Exit(rescue.Main())
	case warden.Name:
		os.Exit(warden.Main())
	}
}
