// Command ledger is the demo's payload: a small service that was never built for a cluster. It appends
// lines to one file and would corrupt it if two of it ran at once.
//
// Promise: none beyond the demo. Called by examples/demo/demo.sh.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal("ledger: ", err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "serve":
		return serve(args[1], args[2])
	case len(args) == 3 && args[0] == "add":
		return add(args[1], args[2])
	}
	return fmt.Errorf("usage: ledger serve SOCKET DIR | ledger add SOCKET TEXT")
}

// serve appends each posted line, synced, until TERM.
func serve(socket, dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "ledger"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(io.LimitReader(r.Body, 1024))
		if err == nil {
			_, err = fmt.Fprintf(f, "%s (written under token %s)\n", text, os.Getenv("INTERLOCK_TOKEN"))
		}
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(l, handler) }()
	select {
	case <-stop:
		return nil
	case err := <-failed:
		return err
	}
}

func add(socket, text string) error {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Post("http://ledger/", "text/plain", strings.NewReader(text))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answered %s", resp.Status)
	}
	return nil
}
