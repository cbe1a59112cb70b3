package store

import (
	"strings"
	"testing"
)

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]Place{
		"file:///srv/repo":        {Scheme: "file", Path: "/srv/repo"},
		"file:///srv//a/../repo":  {Scheme: "file", Path: "/srv/repo"},
		"file:///srv/a%20b":       {Scheme: "file", Path: "/srv/a b"},
		"file:///srv/größe":       {Scheme: "file", Path: "/srv/größe"},
		"file:///gr%C3%B6%C3%9Fe": {Scheme: "file", Path: "/größe"},
		"file:///a%3F%23%25":      {Scheme: "file", Path: "/a?#%"},
		"s3://bucket":             {Scheme: "s3", Bucket: "bucket"},
		"s3://bucket/":            {Scheme: "s3", Bucket: "bucket"},
		"s3://my.bucket/a/b/":     {Scheme: "s3", Bucket: "my.bucket", Path: "a/b"},
	} {
		got, err := ParsePlace(text)
		if err != nil || got != want {
			t.Errorf("%s is read as %+v, %v: expected %+v", text, got, err, want)
		}
		if again, err := ParsePlace(got.String()); err != nil || again != got {
			t.Errorf("%s becomes %s, which is read as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "/srv/repo", "srv", "file://host/srv", "file:///", "file:srv", "s3:///x", "s3://", "s3://b:9000/x", "s3://b/a b", "s3://b/../x",
		"s3://b/a//b", "s3://b/x?region=y", "s3://b/x#y", "http://b/x", "s3://key:secret@b/x", "s3://b/" + strings.Repeat("p", 130), "s3://key:sec ret@b/%zz",
		"key:secret@b", "s3://b/größe", "s3://b/gr%C3%B6%C3%9Fe", "file:///srv/100%",
	} {
		_, err := ParsePlace(text)
		if err == nil || strings.Contains(err.Error(), "sec") {
			t.Errorf("%q gave %v: expected an error that shows no secret", text, err)
		}
	}
}
