package main

import (
	"os"
	"slices"
	"testing"

	"github.com/interlock-run/interlock/internal/config"
)

// TestRelativePaths: what a person types is seen from where he is; what cannot be told is left to be refused.
func TestRelativePaths(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, given, want string }{
		{"data", "db", here + "/db"},
		{"data", "./db/", here + "/db"},
		{"data", "/srv/db", "/srv/db"},
		{"data", "/srv/../db", "/srv/../db"}, // config wants it without
		{"data", "", ""},
		{"state_dir", "s", here + "/s"},
		{"store.url", "store", "file://" + here + "/store"},
		{"store.url", "./a:b", "file://" + here + "/a:b"},
		{"store.url", "/srv/store", "file:///srv/store"},
		{"store.url", "file:store", "file://" + here + "/store"},
		{"store.url", "file:///srv/store", "file:///srv/store"},
		{"store.url", "file://store", "file://store"}, // a host
		{"store.url", "s3://backups/orders", "s3://backups/orders"},
		{"store.url", "s3:/backups/orders", "s3:/backups/orders"},
		{"store.url", "größe", "file://" + here + "/größe"},
		{"store.url", "a b/100%?#", "file://" + here + "/a%20b/100%25%3F%23"},
		{"store.url", "file:a?b", "file:a?b"},
		{"store.url", "user@host", "user@host"},
		{"store.region", "eu", "eu"},
	} {
		s := &setting{field: config.Field{Key: c.key}, typed: true, texts: []string{c.given}}
		if got := s.given(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s %q: %q, want %q", c.key, c.given, got, c.want)
		}
		s.typed = false
		if got := s.given(); !slices.Equal(got, []string{c.given}) {
			t.Errorf("%s %q of a run: %q", c.key, c.given, got)
		}
	}
}
