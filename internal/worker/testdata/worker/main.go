// Command worker is the worker role alone, so that its tests can run it as a process of its own.
package main

import (
	"os"

	"github.com/interlock-run/interlock/internal/worker"
)

func main() { os.Exit(worker.Main()) }
