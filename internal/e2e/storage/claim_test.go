package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
)

// claimOf is a claim as another holder would have left it.
func claimOf(token, lock string) string {
	return fmt.Sprintf(`{"v":1,"token":%q,"holder":"other","node":"n2","boot_id":"b","lock":%q,"since":"2026-01-02T03:04:05Z"}`, token, lock)
}

// putClaim replaces the claim file as a holder does: whole or not at all.
func putClaim(t *testing.T, s *scene.Scene, text string) {
	t.Helper()
	if err := os.MkdirAll(s.State, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.State, "new"), text)
	if err := os.Rename(filepath.Join(s.State, "new"), claimFile(s)); err != nil {
		t.Fatal(err)
	}
}

func claimFile(s *scene.Scene) string { return filepath.Join(s.State, "claim.json") }

func TestClaimsThatForbidAStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		way        []string // what the reason must name
	}{
		{"corrupt", "{half a cla", []string{"claim.json"}},
		{"empty", "", []string{"claim.json"}},
		{"of a newer format", `{"v":9,"token":"1","holder":"x","lock":"LOCK"}`, []string{"claim.json"}},
		{"of a later holder", claimOf("4711", "LOCK"), []string{"4711", "--token-epoch", "other"}},
		{"of another lock", claimOf("1", "file:///elsewhere"), []string{"file:///elsewhere", "--state-dir"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			text := strings.ReplaceAll(c.text, "LOCK", s.Scope())
			putClaim(t, s, text)
			a := s.Run(t, "a", scene.Flags("--hold-max", "5s"), shell(t, "restore-exec", "touch "+s.Data+"/restored"))
			wantReason(t, a.Expect(t, limit, 78), c.way...)
			if got := read(t, claimFile(s)); got != text {
				t.Errorf("the claim was changed to %s", got)
			}
			if exists(t, filepath.Join(s.Data, "restored")) {
				t.Error("the restore ran")
			}
			nothingBegan(t, s)
		})
	}
}

// The way out that the message names works.
func TestTokenEpochIsTheWayOut(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	putClaim(t, s, claimOf("4711", s.Scope()))
	s.Run(t, "a").Expect(t, limit, 78)
	b := s.Run(t, "b", scene.Flags("--token-epoch", "1"))
	alive(t, s, b)
	if code := b.Stop(t); code != 0 {
		t.Errorf("exit code %d: %s", code, b.ReasonText())
	}
}

// A later holder claimed while we run: whatever the lock service says, we are deposed.
func TestHigherClaimWhileRunning(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "a", s.Payload(t, "-ignore-term"), scene.Flags("--probe-period", "100ms"))
	alive(t, s, a)
	putClaim(t, s, claimOf("9", s.Scope()))
	at := scene.Now()
	wantReason(t, a.Expect(t, limit, 76), "other", "9")
	diedAtOnce(t, s, at)
	if got := read(t, claimFile(s)); got != claimOf("9", s.Scope()) {
		t.Errorf("the later holder's claim was changed to %s", got)
	}
	wantRecord(t, s, "dead")
}

func TestClaimNamesItsHolder(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "a")
	alive(t, s, a)
	for _, word := range []string{`"token":"1"`, `"holder":"a"`, s.Scope()} {
		if text := read(t, claimFile(s)); !strings.Contains(text, word) {
			t.Errorf("claim %s has no %s", text, word)
		}
	}
	a.Stop(t)
}
