// Package databases has the end-to-end tests of the built binary around Debian's MariaDB, PostgreSQL and
// Redis, in the shape of their official images: an entrypoint that fills an empty directory, drops its user
// and execs the server.
//
// Promise: servers, clients and data are real; a row counts as acknowledged when the server has said so to
// an open client. Non-promise: nothing is said of other databases, of several nodes, or of a crash of the
// whole host.
package databases

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }
