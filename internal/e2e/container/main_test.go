// Package container has the end-to-end tests of the built binary inside containers: what an entrypoint has
// to live with there, and which way of killing is in force in which kind of container.
//
// Promise: the containers are real ones, made by runc from a bundle like the image that the project
// describes: a root with the static binary and a static payload, and nothing else. In the long form one test
// also runs a Docker daemon of its own, without a network, and builds that image. Non-promise: no image is
// pulled, and what a daemon adds to the bundle (seccomp, masked paths) is imitated everywhere else.
package container

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
