// Command interlock runs a stateful service only while it is safe: it takes the lock, checks the mount,
// claims, restores, runs the command, and ends it in time.
//
// Promise: this package is glue: one file a verb; it decides nothing about leases, mounts or processes.
// Non-promise: nothing here is a library. Called by people, orchestrators and the kernel's exec.
package main

import (
	"os"

	// Roles of this binary other than the program itself start before anything else is initialised.
	_ "github.com/interlock-run/interlock/internal/role"
	_ "github.com/interlock-run/interlock/internal/role/late"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/supervise"
	"github.com/interlock-run/interlock/warm/drain"
)

func main() {
	if len(os.Args) > 0 && os.Args[0] == supervise.RoleCourier { // the heavy role: it needs all that is initialised by now
		os.Exit(courier.Main(openStore))
	}
	if len(os.Args) > 0 && os.Args[0] == drain.Role {
		os.Exit(drain.Main())
	}
	os.Exit(execute(os.Args, os.Environ(), os.Stdout, os.Stderr))
}
