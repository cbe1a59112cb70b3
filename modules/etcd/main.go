// Command etcd is a current etcd server for the chaos suite: the module's own main, in a version that
// go.mod here pins and that the product's go.mod knows nothing of.
//
// Promise: it is go.etcd.io/etcd/server, nothing added. Called by the chaos suite, which builds it once.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
