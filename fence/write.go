package fence

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/interlock-run/interlock/internal/durable"
)

// WriteClaim puts a claim into a state directory, which it makes (one level) if it is not there. It
// fails with ErrDeposed if a higher token, or the same token of another holder, lies there, with
// ErrOtherLock if the claim there is of another lock (tokens of two locks have no order), and with
// ErrClaimCorrupt. The same token of the same holder is written once more.
//
// Between the look and the rename another host could claim; the lease keeps it from running by then, and
// whoever holds re-reads the claim while running.
func WriteClaim(stateDir string, c Claim) error {
	c.V = ClaimVersion
	if err := c.Check(); err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	d, err := durable.OpenOrMake(stateDir)
	if err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	return errors.Join(replaceClaim(d, c, append(data, '\n')), d.Close())
}

func replaceClaim(d *durable.Dir, c Claim, data []byte) error {
	if err := d.Lock(); err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	there, found, err := readClaim(d)
	if err != nil {
		return err
	}
	if found {
		if err := c.mayReplace(there, filepath.Join(d.Path(), ClaimFile)); err != nil {
			return err
		}
	}
	if err := d.Replace(ClaimFile, data); err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	return c.verify(d)
}

// mayReplace compares our claim with the one that lies there.
func (c Claim) mayReplace(there Claim, path string) error {
	who := fmt.Sprintf("holder %q, node %q, since %s", there.Holder, there.Node, there.Since.UTC().Format(time.RFC3339))
	switch {
	case there.Lock != c.Lock:
		return fmt.Errorf("claim %q: %w: %q (%s), ours is %q: give this service its own --state-dir; if the lock was renamed, make sure that nobody runs under the old name, then remove the file",
			path, ErrOtherLock, there.Lock, who, c.Lock)
	case there.Token > c.Token:
		return fmt.Errorf("claim %q: %w: token %s (%s), ours is %s: nothing was written; if the lock service was rebuilt, raise --token-epoch",
			path, ErrDeposed, there.Token, who, c.Token)
	case there.Token == c.Token && there.Holder != c.Holder:
		return fmt.Errorf("claim %q: %w: our own token %s, but %s, and we are %q: two lock services count alike: raise --token-epoch",
			path, ErrDeposed, there.Token, who, c.Holder)
	}
	return nil
}

// verify reads the claim back: what another host put there meanwhile, or a filesystem that lies, shows.
func (c Claim) verify(d *durable.Dir) error {
	there, found, err := readClaim(d)
	if err != nil {
		return err
	}
	path := filepath.Join(d.Path(), ClaimFile)
	if !found {
		return fmt.Errorf("claim %q: gone right after it was written: check the storage", path)
	}
	if there.Token != c.Token || there.Holder != c.Holder {
		return fmt.Errorf("claim %q: %w: token %s, holder %q right after ours (%s) was written", path, ErrDeposed, there.Token, there.Holder, c.Token)
	}
	return nil
}
