package main

import (
	"context"
	"fmt"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/store/s3"
)

// openStore opens the place that the configuration names; of a bucket it asks nothing yet. Keys come by
// AWS's variables and files alone: a flag would show them to everybody on the host.
func openStore(c config.Store) (courier.Store, error) {
	boundHeap()
	place, err := store.ParsePlace(c.URL)
	if err != nil {
		return nil, exit.With(exit.Config, err)
	}
	if place.Scheme == "file" {
		d, err := dir.Open(place.Path)
		if err != nil {
			return nil, storeError(c.URL, err)
		}
		return d, nil
	}
	s, err := s3.Open(s3.Options{
		Bucket: place.Bucket, Prefix: place.Path, Endpoint: c.Endpoint, Region: c.Region, PathStyle: c.PathStyle,
		CAFile: c.CA, CredentialsFile: c.CredentialsFile, Profile: c.Profile,
	})
	if err != nil {
		return nil, exit.With(courier.Code(err, exit.Config), err)
	}
	return s, nil
}

// storeError is an error of the store or the repository in it with the exit code of its kind.
func storeError(url string, err error) error {
	if err == nil {
		return nil
	}
	return exit.With(courier.Code(err, exit.Internal), fmt.Errorf("store %s: %w", url, err))
}

// A leftoverSweeper is a store in which killed writers leave files that no key shows.
type leftoverSweeper interface {
	Sweep(context.Context) (removed int, err error)
}
