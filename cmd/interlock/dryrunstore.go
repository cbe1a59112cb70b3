package main

import (
	"context"
	"fmt"
	"io"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/lifecycle"
)

// dryStore says what the claim of the store and the restore from it would come to. Nothing is committed.
func dryStore(ctx context.Context, out io.Writer, plan lifecycle.Plan) error {
	if plan.Store.Errand.Store.URL == "" {
		return nil
	}
	q := plan.Store.Errand
	q.Reach = plan.Budgets.Claim
	q.Place = courier.Place{Data: plan.Data, StateDir: plan.State}
	look, err := lookInto(ctx, q)
	if look.Err != nil {
		fmt.Fprintf(out, "store    %s: %v\n", q.Store.URL, look.Err)
		return look.Err
	}
	if err != nil {
		return err
	}
	newest := "no snapshot yet"
	if look.Newest.ID != "" {
		newest = "newest snapshot " + string(look.Newest.ID)
	}
	fmt.Fprintf(out, "store    %s: %s\n", q.Store.URL, newest)
	if !plan.Store.Restore {
		return nil
	}
	fmt.Fprintf(out, "restore  %s: %s\n", look.Decision.Action, look.Decision.Reason)
	if look.Refused != nil {
		return exit.With(exit.Code(look.Refused), look.Refused)
	}
	return nil
}

// lookInto looks in a goroutine that a hung directory may keep: the process ends soon.
func lookInto(ctx context.Context, q courier.Request) (courier.Glance, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*q.Reach)
	defer cancel()
	looks := make(chan courier.Glance, 1)
	go func() { looks <- courier.Look(ctx, openStore, q) }()
	select {
	case look := <-looks:
		return look, nil
	case <-ctx.Done():
		return courier.Glance{}, exit.Withf(exit.Unreachable, "the store %s, or the data directory %s, does not answer", q.Store.URL, q.Place.Data)
	}
}
