// Heavy is a stand-in for cmd/interlock in the test of the init order: the same leaf, the same weight.
package main

import (
	"fmt"

	_ "github.com/go-zookeeper/zk"
	_ "github.com/interlock-run/interlock/internal/role"
	_ "github.com/interlock-run/interlock/internal/role/late"
	_ "github.com/urfave/cli/v2"
	_ "go.etcd.io/etcd/client/v3"
	_ "log/slog"
	_ "net/http"
)

func main() { fmt.Println("main ran: no role was dispatched") }
