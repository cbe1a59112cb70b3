// Command gomemcache prints where gomemcache puts keys, as one vector of ../vectors.json. It is run by hand, in a
// module of its own:
//
//	go mod init vectors && go get github.com/bradfitz/gomemcache && go run . > ../gomemcache.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
)

func main() {
	type server struct {
		Name   string `json:"name"`
		Weight int    `json:"weight"`
	}
	var servers []server
	var names []string
	for i := 1; i <= 4; i++ {
		name := fmt.Sprintf("127.77.0.%d:22101", i)
		servers, names = append(servers, server{name, 1}), append(names, name)
	}
	var list memcache.ServerList
	if err := list.SetServers(names...); err != nil {
		panic(err)
	}
	var placement strings.Builder
	for i := range 1000 {
		key := fmt.Sprintf("key:%d", i)
		if i%5 == 4 {
			key = fmt.Sprintf("k\u00e9:%d", i)
		}
		addr, err := list.PickServer(key)
		if err != nil {
			panic(err)
		}
		for n, name := range names {
			if addr.String() == name {
				fmt.Fprint(&placement, n)
			}
		}
	}
	err := json.NewEncoder(os.Stdout).Encode([]any{map[string]any{"client": "gomemcache", "rule": "gomemcache", "servers": servers, "placement": placement.String()}})
	if err != nil {
		panic(err)
	}
}
