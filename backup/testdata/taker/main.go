// Command taker takes a backup as the store worker would: the tests kill it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/dir"
)

// An order is what stdin says.
type order struct {
	Store, Scratch string
	Token          fence.Token
	Source         backup.Source
	Keep           snapshot.Keep
}

func main() {
	if text := os.Getenv("KILL_AFTER"); text != "" {
		after, err := time.ParseDuration(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		time.AfterFunc(after, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	ctx := context.Background()
	st, err := dir.Open(o.Store)
	if err != nil {
		return err
	}
	repo, err := snapshot.Open(ctx, breaking{st}, time.Now)
	if err != nil {
		return err
	}
	who := snapshot.Holder{Token: o.Token}
	if o.Token != 0 {
		who.Scope = snapshot.Scope{Lock: "db", Kind: "file"}
	}
	o.Source.Run.Env = os.Environ()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	res, err := backup.Take(ctx, o.Source, backup.Options{Repository: repo, Holder: who, Scratch: o.Scratch, Workers: 2, Log: log})
	if err != nil {
		return err
	}
	if _, err := backup.Keep(ctx, repo, who, o.Keep); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res.Snapshot)
}

// A breaking is a store with break points around what it changes.
type breaking struct{ store.Store }

func (b breaking) Create(ctx context.Context, key string, data []byte) error {
	breakpoint.At("create")
	err := b.Store.Create(ctx, key, data)
	breakpoint.At("created")
	return err
}

func (b breaking) Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	breakpoint.At("put")
	err := b.Store.Put(ctx, key, body, size)
	breakpoint.At("stored")
	return err
}

func (b breaking) Delete(ctx context.Context, key string) error {
	breakpoint.At("delete")
	err := b.Store.Delete(ctx, key)
	breakpoint.At("deleted")
	return err
}
