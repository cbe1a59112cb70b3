// Package role dispatches the cheap roles of the one binary before anything heavy is initialised.
//
// Promise: a process whose argv names a role runs that role and nothing else; grpc, etcd, protobuf or
// an object store client have not been initialised by then (its test fails otherwise). Non-promise:
// it does nothing for other processes; the worker's imports are heavier, so its role is in role/late.
// Blank-imported by cmd/interlock alone: in a test binary, "run" as first argument would make a guard.
package role

import (
	"os"

	"github.com/interlock-run/interlock/mountcheck/probe"
	"github.com/interlock-run/interlock/supervise"
)

// With that of role/late the one init of the product with a side effect: roles must start before other
// packages are ready.
func init() {
	if run := of(os.Args); run != nil {
		if code := guarded(run); code != supervise.BeWorker { // a worker is dispatched by role/late
			os.Exit(code)
		}
	}
	if len(os.Args) > 0 && os.Args[0] == supervise.RoleAgent {
		supervise.BeginAgent() // before the long part of its start
		probe.StartAhead()     // beside it
	}
}

// of names the role of a process; nil is the full program (the agent too).
func of(argv []string) func() int {
	switch {
	case len(argv) == 0:
		return nil
	case argv[0] == supervise.RoleInit:
		return supervise.NamespaceInit
	case argv[0] == supervise.RoleGate:
		return supervise.Gate
	case argv[0] == supervise.RoleSpare:
		return supervise.Spare
	case argv[0] == supervise.RoleProbe:
		return probe.Main
	case argv[0] != supervise.RoleAgent && argv[0] != supervise.RoleWorker && argv[0] != supervise.RoleCourier && argv[0] != supervise.RoleWorkerSpare && len(argv) > 1 && argv[1] == "run":
		return supervise.Guard
	}
	return nil
}

// guarded turns a panic into an internal error. The guard kills its domain before it comes here; a
// namespace dies with its init.
func guarded(run func() int) (code int) {
	defer func() {
		if r := recover(); r != nil {
			_, _ = os.Stderr.WriteString("interlock: internal error in role " + os.Args[0] + "\n")
			code = 70
		}
	}()
	return run()
}
