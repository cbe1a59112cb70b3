package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/progress"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

// storeDoctorBudget bounds each topic.
const storeDoctorBudget = 2 * time.Minute

// clockSlack is how far the store's clock may be from ours before it is worth a line: S3 refuses requests
// at 15 minutes.
const clockSlack = time.Minute

func storeDoctor(c *cli.Context) error {
	if err := plain(c); err != nil {
		return err
	}
	return withStore(c, func(ctx context.Context, d *depot) error {
		all := d.checkups(ctx, c.Bool("allow-unfenced"))
		if c.Bool("json") {
			if err := writeJSON(c, all); err != nil {
				return err
			}
		} else if err := printCheckups(c.App.Writer, all); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for _, line := range all {
			if line.Level == "fail" {
				return exit.Status(line.code)
			}
		}
		return nil
	})
}

// checkups asks each topic, until one fails that the others rest on.
func (d *depot) checkups(ctx context.Context, unfenced bool) []checkup {
	var all []checkup
	for _, topic := range []func(context.Context) ([]checkup, bool){
		d.checkRights,
		func(ctx context.Context) ([]checkup, bool) { return d.checkFence(ctx, unfenced) },
		d.checkRepository, d.checkCatalog, d.checkLeftovers,
	} {
		bounded, cancel := context.WithTimeout(ctx, storeDoctorBudget)
		lines, goOn := topic(bounded)
		cancel()
		all = append(all, lines...)
		if !goOn {
			break
		}
	}
	return all
}

func failed(topic string, err error, do string) checkup {
	return checkup{Level: "fail", Topic: topic, What: oneLine(err), Do: do, code: courier.Code(err, exit.Unreachable)}
}

// checkRights writes, lists, reads and deletes one object, and looks at its time.
func (d *depot) checkRights(ctx context.Context) ([]checkup, bool) {
	key, body := "probe/"+rand.Text(), []byte("interlock store doctor\n")
	if err := d.store.Put(ctx, key, bytes.NewReader(body), int64(len(body))); err != nil {
		return []checkup{failed("write", err, wayOut(err))}, false
	}
	all := []checkup{{Level: "ok", Topic: "write", What: "an object was written"}}
	all = append(all, d.checkSeen(ctx, key))
	if got, err := store.ReadAll(ctx, d.store, key, 1<<10); err != nil || !bytes.Equal(got, body) {
		all = append(all, failed("read", errors.Join(err, fmt.Errorf("%d bytes came back of %d", len(got), len(body))), wayOut(err)))
	} else {
		all = append(all, checkup{Level: "ok", Topic: "read", What: "it was read again"})
	}
	if err := d.store.Delete(ctx, key); err != nil {
		all = append(all, failed("delete", err, "prune needs the right to delete; a backup alone does not"))
	} else {
		all = append(all, checkup{Level: "ok", Topic: "delete", What: "it was deleted"})
	}
	return all, true
}

// checkSeen lists the object that was just written: by its time the store's clock is known.
func (d *depot) checkSeen(ctx context.Context, key string) checkup {
	for o, err := range d.store.List(ctx, key, "") {
		if err != nil {
			return failed("list", err, wayOut(err))
		}
		if o.Key != key {
			continue
		}
		if apart := time.Since(o.Time); apart.Abs() > clockSlack {
			return checkup{Level: "warn", Topic: "list", What: fmt.Sprintf("the store's clock is %v from ours", apart.Round(time.Second)),
				Do: "set both by NTP: S3 refuses requests that are 15 minutes off, and ages of snapshots are wrong"}
		}
		return checkup{Level: "ok", Topic: "list", What: "it was listed, and the clocks agree"}
	}
	return failed("list", fmt.Errorf("%w: an object just written is not listed", store.ErrUnfenced), "use a store that is consistent")
}

func wayOut(err error) string {
	switch {
	case errors.Is(err, store.ErrCredentials):
		return "check the keys (--store-credentials-file, AWS_…) and what they allow: list, get, put and delete below the prefix; of a directory, its owner and mode"
	case errors.Is(err, store.ErrNoPlace):
		return "create the bucket or mount the directory: it is never made here"
	case errors.Is(err, store.ErrFull):
		return "make room in the store"
	}
	return "check --store, --store-endpoint and the way there"
}

func (d *depot) checkFence(ctx context.Context, unfenced bool) ([]checkup, bool) {
	err := store.Probe(ctx, d.store)
	switch {
	case err == nil:
		return []checkup{{Level: "ok", Topic: "fence", What: "of many that create an object at once one wins"}}, true
	case errors.Is(err, store.ErrUnfenced) && unfenced:
		return []checkup{{Level: "warn", Topic: "fence", What: oneLine(err), Do: "nothing keeps two writers apart: see that there is only one"}}, true
	case errors.Is(err, store.ErrUnfenced):
		return []checkup{failed("fence", err, "use a server and a way to it that honour If-None-Match")}, true
	}
	return []checkup{failed("fence", err, wayOut(err))}, true
}

func (d *depot) checkRepository(ctx context.Context) ([]checkup, bool) {
	var err error
	if d.repo, err = snapshot.Open(ctx, d.store, time.Now); errors.Is(err, snapshot.ErrMissing) {
		return []checkup{{Level: "warn", Topic: "repository", What: "none is there", Do: "`interlock store init` makes one"}}, false
	} else if err != nil {
		return []checkup{failed("repository", err, "name the place that is meant; nothing here is ever overwritten")}, false
	}
	what := fmt.Sprintf("%s, format %d, of %s", d.repo.ID, d.repo.Format, d.repo.Created.UTC().Format(time.RFC3339))
	all := []checkup{{Level: "ok", Topic: "repository", What: what}}
	if !d.repo.Encrypted() {
		return all, true
	}
	line := checkup{Level: "ok", Topic: "recipients", What: fmt.Sprintf("encrypted for %d", len(d.repo.Recipients))}
	if err := d.unlock(); err != nil {
		line = failed("recipients", err, "give the identity (--store-identity-file) of one of "+fmt.Sprint(d.repo.Recipients))
	} else if !d.repo.Readable() {
		line.Level, line.Do = "warn", "backups need no more; restore and verify need --store-identity-file"
	}
	return append(all, line), true
}

func (d *depot) checkCatalog(ctx context.Context) ([]checkup, bool) {
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return []checkup{failed("catalog", err, "restore catalog/ from a copy of the store: docs/snapshot-format.md")}, false
	}
	scope := scopeOf(d.repo, &cat)
	owner := "no lock's: whoever may write may publish"
	if scope != (snapshot.Scope{}) {
		owner = fmt.Sprintf("the %s lock %s's", scope.Kind, scope.Lock)
	}
	all := []checkup{{Level: "ok", Topic: "scope", What: owner}}
	newest, any := cat.Newest()
	if !any {
		return append(all, checkup{Level: "warn", Topic: "snapshots", What: "none yet", Do: "`interlock backup` makes one"}), true
	}
	all = append(all, checkup{Level: "ok", Topic: "snapshots", What: fmt.Sprintf("%d, the newest %s old, commit %d, token %s", len(cat.Live), age(time.Since(newest.Time).Seconds()), cat.Number, cat.Token)})
	for _, s := range cat.Live {
		if s.Damaged != "" {
			all = append(all, checkup{Level: "warn", Topic: "snapshots", What: fmt.Sprintf("%s is damaged: %s", s.ID, oneLineText(s.Damaged)), Do: "`interlock verify` it again, take a new backup, and let prune remove it"})
		}
	}
	return all, true
}

// checkLeftovers looks for what killed writers have left. Without a key that may take long, or cannot be done.
func (d *depot) checkLeftovers(ctx context.Context) ([]checkup, bool) {
	sweep, err := d.repo.Collect(ctx, snapshot.Holder{}, true)
	if err != nil {
		return []checkup{failed("leftovers", err, "`interlock verify --all` names what is damaged; prune deletes nothing until then")}, true
	}
	if sweep.Deleted == 0 && len(sweep.Current) == 0 {
		return []checkup{{Level: "ok", Topic: "leftovers", What: "none"}}, true
	}
	return []checkup{{Level: "warn", Topic: "leftovers", What: fmt.Sprintf("%d objects with %s that nothing names, %d uploads that were not published", sweep.Deleted, progress.Bytes(sweep.Bytes), len(sweep.Current)),
		Do: "`interlock prune` removes them"}}, true
}
