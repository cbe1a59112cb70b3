package config

import (
	"net/url"
	"path"
	"strings"
	"time"
)

// storeURL checks the form alone; package store says what else a bucket's prefix may not be.
func storeURL(v any) string {
	const shape = "s3://BUCKET/PREFIX or file:///DIR"
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	scheme, rest, found := strings.Cut(s, "://")
	host, below, _ := strings.Cut(rest, "/")
	switch {
	case !found || strings.ContainsAny(s, "?# ") || oneLine(s) != "":
		return shape + ", without query, fragment or spaces (in the name of a directory ? is written %3F, # %23, a space %20)"
	case strings.Contains(host, "@"):
		return shape + ": keys come from the environment or store.credentials_file, never from the URL"
	case scheme == "file":
		return fileURL(host, below)
	case scheme == "s3" && word(host, 63, ".-"):
		return ""
	}
	return shape
}

// storeDir is the directory of a store in one, as the filesystem knows it; empty for others.
func storeDir(text string) string {
	if u, err := url.Parse(text); err == nil && u.Scheme == "file" {
		return u.Path
	}
	return ""
}

func endpoint(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "http://HOST[:PORT] or https://HOST[:PORT], nothing behind it"
	}
	return ""
}

// pointInTime is what restore.at may be.
func pointInTime(v any) string {
	s, _ := v.(string)
	if _, err := time.Parse(time.RFC3339, s); err == nil || s == "latest" {
		return ""
	}
	// An ID begins with the day; a short beginning is enough where it is the only one.
	if word(s, 60, "-") && len(s) >= 4 && strings.Trim(s[:4], "0123456789") == "" && !strings.Contains(s, "--") {
		return ""
	}
	return "latest, the ID of a snapshot or its beginning, or a time such as 2026-01-31T12:00:00Z"
}

func patterns(v any) string {
	list, _ := v.([]string)
	for _, p := range list {
		if _, err := path.Match(p, ""); err != nil || strings.Trim(p, "/") == "" || oneLine(p) != "" {
			return "patterns as of a shell: *.tmp for a name anywhere, /logs/* for a path below data"
		}
	}
	return ""
}
