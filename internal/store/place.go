package store

import (
	"fmt"
	"net/url"
	"path"
	"strings"
)

// A Place is what --store names: file:///dir or s3://bucket/prefix.
type Place struct {
	Scheme string // "file" or "s3"
	Bucket string // s3
	Path   string // file: the absolute directory; s3: the prefix without slashes at its ends, or empty
}

// ParsePlace reads a store's URL. Credentials never stand in it, since command lines and logs show it.
func ParsePlace(text string) (Place, error) {
	wrong := func(why string) (Place, error) {
		return Place{}, fmt.Errorf("store %q: %s: expected file:///dir or s3://bucket/prefix", redact(text), why)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return wrong("not a URL (a % that is meant is written %25)")
	case u.User != nil:
		return wrong("it has a user or a password, which belong into the environment or a file")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return wrong("it has a query or a fragment (in the name of a directory ? is written %3F, and # %23)")
	case u.Scheme == "file" && (u.Host != "" || path.Clean(u.Path) == "/" || !strings.HasPrefix(u.Path, "/")):
		return wrong("no directory below / of this host")
	case u.Scheme == "file":
		return Place{Scheme: "file", Path: path.Clean(u.Path)}, nil
	case u.Scheme == "s3":
		return parseS3(u, wrong)
	}
	return wrong("unknown scheme")
}

// DirOf is the directory of a file:// store's URL; empty for others.
func DirOf(text string) string {
	if p, err := ParsePlace(text); err == nil && p.Scheme == "file" {
		return p.Path
	}
	return ""
}

func parseS3(u *url.URL, wrong func(string) (Place, error)) (Place, error) {
	prefix := strings.Trim(u.Path, "/")
	if u.Hostname() == "" || u.Port() != "" {
		return wrong("no bucket's name (the server is given by the endpoint)")
	}
	if prefix != "" {
		if err := CheckKey(prefix); err != nil || len(prefix) > 1024-MaxKey-1 {
			return wrong(fmt.Sprintf("its prefix has something else than A-Z a-z 0-9 . _ - and /, or more than %d bytes (percent-encoding does not help: servers read such keys differently)", 1024-MaxKey-1))
		}
	}
	return Place{Scheme: "s3", Bucket: u.Hostname(), Path: prefix}, nil
}

// redact hides what stands before an @.
func redact(text string) string {
	i := strings.LastIndex(text, "@")
	if i < 0 {
		return text
	}
	if scheme, _, found := strings.Cut(text, "://"); found {
		return scheme + "://…" + text[i:]
	}
	return "…" + text[i:]
}

// String is the URL again.
func (p Place) String() string {
	if p.Scheme == "file" {
		return (&url.URL{Scheme: "file", Path: p.Path}).String()
	}
	return strings.TrimSuffix((&url.URL{Scheme: p.Scheme, Host: p.Bucket, Path: "/" + p.Path}).String(), "/")
}
