package main

import (
	"slices"
	"testing"

	"github.com/interlock-run/interlock/internal/config"
)

// Keys of S3 are withheld from commands wherever S3 is used with them, for other nodes' dumps alone too.
func TestStoreSecrets(t *testing.T) {
	for _, c := range []struct {
		name     string
		url      string
		file     string
		others   []string
		withheld bool
	}{
		{"directory", "file:///srv/store", "", nil, false},
		{"S3", "s3://b/p", "", nil, true},
		{"S3 with a file of keys", "s3://b/p", "/keys", nil, false},
		{"others in S3", "file:///srv/store", "", []string{"file:///a", "s3://b/q"}, true},
		{"others in directories", "file:///srv/store", "", []string{"file:///a"}, false},
	} {
		var cfg config.Config
		cfg.Store.URL, cfg.Store.CredentialsFile, cfg.Warm.Ring.Stores = c.url, c.file, c.others
		if got := slices.Contains(storeSecrets(cfg), "AWS_SECRET_ACCESS_KEY"); got != c.withheld {
			t.Errorf("%s: withheld %v, expected %v", c.name, got, c.withheld)
		}
	}
}
