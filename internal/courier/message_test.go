package courier

import (
	"bytes"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/snapshot"
)

func TestRequestGoesThere(t *testing.T) {
	want := Request{
		V: Version, Op: OpBackup, Timeout: time.Minute, Reach: time.Second, OnStop: true,
		Who:   Who{Token: 1 << 62, Scope: snapshot.Scope{Lock: "/l", Kind: "etcd"}, Holder: "h\n", Node: "n", Release: "r"},
		Store: config.Store{URL: "s3://b/p", PathStyle: true}, Secrets: []string{"A"}, User: &User{UID: 1, GID: 2, Groups: []uint32{3}},
		Place: Place{Data: "/d", StateDir: "/s", Mount: "/m"}, Restore: config.Restore{Exec: []string{"a b", ""}},
		Backup: config.Backup{Exclude: []string{"*"}, Keep: config.Keep{Last: 1}},
	}
	data, err := EncodeRequest(want)
	must(t, err)
	got, err := decodeRequest(bytes.NewReader(data))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	good := Request{Op: OpClaim, Timeout: 1, Reach: 1, Who: Who{Token: 1, Scope: snapshot.Scope{Lock: "l", Kind: "k"}}}
	for name, spoil := range map[string]func(string) string{
		"empty":         func(string) string { return "" },
		"no JSON":       func(string) string { return "hello\n" },
		"another field": func(s string) string { return `{"x":1,` + s[1:] },
		"version":       func(s string) string { return strings.Replace(s, `"v":1`, `"v":2`, 1) },
		"no timeout":    func(s string) string { return strings.Replace(s, `"timeout":1`, `"timeout":0`, 1) },
		"no token":      func(s string) string { return strings.Replace(s, `"token":"1"`, `"token":"0"`, 1) },
		"endless":       func(string) string { return `{"op":"` + strings.Repeat("x", 2*MaxLine) },
	} {
		data, err := EncodeRequest(good)
		must(t, err)
		if _, err := decodeRequest(strings.NewReader(spoil(string(data)))); err == nil {
			t.Errorf("%s: expected an error", name)
		}
	}
	good.Backup.Exec = []string{strings.Repeat("x", MaxLine)}
	if _, err := EncodeRequest(good); err == nil {
		t.Error("a request that does not fit a pipe was encoded")
	}
}

// Whatever there is to say fits a line.
func TestLinesAreBounded(t *testing.T) {
	var said bytes.Buffer
	l := &lines{to: &said}
	must(t, l.say(Line{Answer: &Answer{Code: 73, Error: strings.Repeat("e", 2*MaxLine), Warnings: []string{strings.Repeat("w", MaxLine)}}}))
	slog.New(&notes{out: l}).With("command", "x").Info(strings.Repeat("m", 2*MaxLine), "cause", errors.New(strings.Repeat("c", 2*MaxLine)))
	for line := range strings.Lines(said.String()) {
		got, err := DecodeLine([]byte(line))
		if err != nil || len(line) > MaxLine {
			t.Errorf("%d bytes: %v", len(line), err)
		}
		if got.Answer != nil && got.Answer.Code != 73 || got.Note != nil && got.Note.Level != slog.LevelDebug {
			t.Errorf("%+v", got)
		}
	}
	for _, bad := range []string{"", "x", "{}", `{"answer":1}`} {
		if _, err := DecodeLine([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a line", bad)
		}
	}
}
