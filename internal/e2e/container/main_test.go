// Package container has the end-to-end tests of the built binary inside containers: what an entrypoint has
// to live with there, and which way of killing is in force in which kind of container.
//
// Promise: the containers are real ones, made by runc from a bundle like the image that the project
// describes: a root with the static binary and a static payload, and nothing else. Non-promise: no image is
// built or pulled and no daemon runs; what a daemon adds to the bundle is imitated (seccomp, masked paths).
package container

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
