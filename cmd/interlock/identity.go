package main

import (
	"bytes"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
)

const maxIdentityFile = 64 << 10

// unlock gives the repository the keys to read with, where it is encrypted and a file of them is named.
func (d *depot) unlock() error {
	name := d.cfg.Store.IdentityFile
	if !d.repo.Encrypted() || name == "" {
		return nil
	}
	data, err := readLimited(name, maxIdentityFile)
	if err != nil {
		return exit.Withf(exit.Credentials, "cannot read --store-identity-file: %w", err)
	}
	ids, err := snapshot.ParseIdentities(bytes.NewReader(data))
	if err == nil {
		err = d.repo.UseIdentities(ids...)
	}
	if err != nil {
		return exit.Withf(exit.Credentials, "--store-identity-file %s: %w", name, err)
	}
	return nil
}
