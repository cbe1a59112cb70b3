package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "read snapshots whole and compare every hash; with --restore restore them into a scratch directory and check them there",
		ArgsUsage: "[ID…|latest] [-- CHECK-COMMAND ARGS…]",
		Flags: append(writerFlags(named{key: "backup.user", flag: "user"}), jsonFlag(),
			&cli.BoolFlag{Name: "all", Usage: "every snapshot; without it and without an ID the latest", DisableDefaultText: true},
			&cli.BoolFlag{Name: "restore", Usage: "restore each into a new directory below --scratch, run the command after -- in it, and remove it", DisableDefaultText: true},
			&cli.StringFlag{Name: "scratch", Usage: "`DIR` in which there is room for a whole snapshot (default: TMPDIR)"}),
		Action: verify,
	}
}

// verifyView is the result of `verify --json`.
type verifyView struct {
	Snapshots []verdictView `json:"snapshots"`
	Damaged   int           `json:"damaged"`
	Unchecked int           `json:"check_failed"` // whole, but the check command was not content
	Removed   int           `json:"removed"`      // by retention, while they were verified
}

// verdictView is what one verification found.
type verdictView struct {
	ID       snapshot.ID `json:"id"`
	OK       bool        `json:"ok"`
	Damage   string      `json:"damage,omitempty"`
	Check    string      `json:"check,omitempty"` // what the check command said by its end
	Noted    string      `json:"noted"`           // in the catalog: marked, cleared, no (nothing to note), or why it could not be
	Restored bool        `json:"restored"`
	Removed  bool        `json:"removed,omitempty"` // by retention, meanwhile: nothing is said of it
	Unread   bool        `json:"content_unread"`    // encrypted, and no identity here: only what is stored was compared
	Took     float64     `json:"took_seconds"`
}

func verify(c *cli.Context) error {
	if c.Bool("all") && c.Args().Present() {
		return exit.Withf(exit.Usage, "--all and %d IDs: expected one of the two", c.Args().Len())
	}
	if invocationOf(c).dashed && !c.Bool("restore") {
		return exit.Withf(exit.Usage, "a check command without --restore: there would be nothing for it to look at")
	}
	return underLock(c, func() error {
		return withDepot(c, func(ctx context.Context, d *depot) error { return d.verify(ctx, c) })
	})
}

func (d *depot) verify(ctx context.Context, c *cli.Context) error {
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return err
	}
	wanted := cat.Live
	if !c.Bool("all") {
		texts := c.Args().Slice()
		if len(texts) == 0 {
			texts = []string{"latest"}
		}
		if wanted, err = pickAll(&cat, texts); err != nil {
			return err
		}
	}
	var total int64
	for _, s := range wanted {
		total += s.Bytes
	}
	v := &verifier{d: d, c: c, cat: &cat, work: newWork(c, d, total)}
	view := verifyView{Snapshots: []verdictView{}}
	end := v.work.begin("verify")
	defer end()
	for _, s := range wanted {
		one, err := v.one(ctx, s)
		if err != nil {
			return err
		}
		view.count(&one)
		view.Snapshots = append(view.Snapshots, one)
	}
	end()
	return v.tell(view)
}

func (v *verifyView) count(one *verdictView) {
	switch {
	case one.Removed:
		v.Removed++
	case one.Damage != "":
		v.Damaged++
	case !one.OK:
		v.Unchecked++
	}
}

// A verifier is one `verify`.
type verifier struct {
	d    *depot
	c    *cli.Context
	cat  *snapshot.Catalog
	work *work
}

// one verifies a snapshot. The error is of what kept us from finding out.
func (v *verifier) one(ctx context.Context, s snapshot.Snapshot) (verdictView, error) {
	began := time.Now()
	r := verdictView{ID: s.ID, Noted: "no"}
	look := v.d.repo.Verify
	if r.Unread = !v.d.repo.Readable() && !v.c.Bool("restore"); r.Unread {
		look = v.d.repo.VerifyStored
	}
	err := look(ctx, s, v.work.counted)
	if err == nil && v.c.Bool("restore") {
		r.Restored = true
		err = v.restored(ctx, s)
	}
	r.Took = time.Since(began).Seconds()
	if err != nil && !damage(err) && !errors.Is(err, errCheck) {
		return r, err
	}
	if err != nil && !errors.Is(err, errCheck) {
		if r.Removed, _ = v.d.removed(ctx, s.ID); r.Removed {
			return r, nil
		}
	}
	r.OK = err == nil
	switch {
	case errors.Is(err, errCheck): // what a command says is no damage of the store's
		r.Check = oneLine(err)
	case err != nil:
		r.Damage = noted(oneLine(err))
	}
	if r.Damage != s.Damaged && (r.Damage != "" || !r.Unread) { // who has not read it clears nothing
		r.Noted = v.note(ctx, s, r.Damage)
	}
	return r, nil
}

// damage tells an object that is not what it must be from a store that does not let us look.
func damage(err error) bool {
	for _, kind := range []error{snapshot.ErrDamaged, store.ErrDamaged, store.ErrNotFound} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// removed tells whether a snapshot that was live is so no more: then what of it is missing is no damage.
func (d *depot) removed(ctx context.Context, id snapshot.ID) (bool, error) {
	cat, err := d.repo.Catalog(ctx)
	if err != nil {
		return false, err
	}
	_, live := cat.Find(id)
	return !live, nil
}

// noteLimit keeps the catalog small.
const noteLimit = 300

// noted is what stands in the catalog of damage: as it is compared the next time.
func noted(what string) string {
	if len(what) > noteLimit {
		what = strings.ToValidUTF8(what[:noteLimit], "")
	}
	return oneLineText(what)
}

// note writes into the catalog what was found, where we may: a snapshot marked so is no parent, is not restored
// unasked, and does not count for retention.
func (v *verifier) note(ctx context.Context, s snapshot.Snapshot, what string) string {
	who, err := v.d.writer(ctx, v.c.String(besideKey), v.cat)
	if err == nil {
		_, err = v.d.repo.MarkDamaged(ctx, who.Holder, s.ID, what)
	}
	switch {
	case err != nil:
		return "not noted: " + oneLine(err)
	case what == "":
		return "cleared"
	}
	return "marked"
}

func (v *verifier) tell(view verifyView) error {
	out := v.c.App.Writer
	var err error
	if v.c.Bool("json") {
		err = writeResult(out, view)
	} else {
		for _, r := range view.Snapshots {
			text := "ok"
			if r.Unread {
				text = "as stored, its content was not checked: that needs --store-identity-file"
			}
			if r.Removed {
				text = "removed while it was verified"
			} else if r.Damage != "" {
				text = "DAMAGED: " + r.Damage
			} else if !r.OK {
				text = "whole, but " + r.Check
			}
			if r.Noted != "no" {
				text += " (" + r.Noted + ")"
			}
			if err == nil {
				_, err = fmt.Fprintf(out, "%s %s\n", r.ID, text)
			}
		}
	}
	if n := len(view.Snapshots); n > 0 && view.Removed == n {
		return errors.Join(exit.Withf(exit.NoSnapshot, "nothing was verified: all %d snapshots were removed meanwhile (by retention): verify again", n), err)
	}
	if view.Unchecked > 0 && view.Damaged == 0 {
		return errors.Join(exit.Withf(exit.Damaged, "the check of %d of %d snapshots failed: what it looks for is not in them", view.Unchecked, len(view.Snapshots)), err)
	}
	if view.Damaged > 0 {
		return errors.Join(exit.Withf(exit.Damaged, "%d of %d snapshots are damaged: restore another one, and take a new backup", view.Damaged, len(view.Snapshots)), err)
	}
	return err
}
