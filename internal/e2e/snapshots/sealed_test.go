package snapshots

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// TestEncrypted: who backs up needs the public key alone; who reads needs an identity, and the right one.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	data := tree(t, filepath.Join(p.home, "data"))
	right := identity(t, p, "right")
	identity(t, p, "wrong")
	p.ends(t, 64, "secret", "store", "init", "--recipient", right.String())
	p.ok(t, "store", "init", "--recipient", right.Recipient().String())
	first := backedUp(t, p, "--data", data)
	write(t, filepath.Join(data, "sub", "small"), []byte("other text\n"))
	if second := backedUp(t, p, "--data", data); second.Parent != first.ID || second.Stored > 256<<10 {
		t.Errorf("%+v: expected an increment without any identity", second)
	}
	to := filepath.Join(p.home, "to")
	p.ends(t, 77, "identity", "restore", "--to", to)
	p.ends(t, 77, "none of 1 identities", "restore", "--to", to, "--store-identity-file", filepath.Join(p.home, "wrong"))
	key := []string{"--store-identity-file", filepath.Join(p.home, "right")}
	p.ok(t, append([]string{"restore", "--to", to, "--verify"}, key...)...)
	same(t, data, to)
	for _, words := range [][]string{{"verify", "--all"}, {"show", "latest", "--files"}, {"diff", first.ID, "latest"}} {
		p.ok(t, append(words, key...)...)
		if words[0] != "verify" {
			p.ends(t, 77, "identity", words...)
		}
	}
	if said := p.ok(t, "verify", "--all"); !strings.Contains(said, "content was not checked") {
		t.Errorf("verify without an identity says %q", said)
	}
	p.ends(t, 77, "identity", "verify", "--all", "--restore")
	p.ok(t, "prune", "--keep-last", "1")
	p.ok(t, append([]string{"verify", "--all"}, key...)...)
}

// encrypted makes the place's repository an encrypted one, with its identity at hand.
func (p *place) encrypted(t *testing.T) *place {
	t.Helper()
	p.to = identity(t, p, "identity").Recipient().String()
	p.env = append(p.env, "INTERLOCK_STORE_IDENTITY_FILE="+filepath.Join(p.home, "identity"))
	return p
}

func (p *place) init(t *testing.T) {
	t.Helper()
	words := []string{"store", "init"}
	if p.to != "" {
		words = append(words, "--recipient", p.to)
	}
	p.ok(t, words...)
}

func identity(t *testing.T, p *place, name string) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(p.home, name), []byte(id.String()+"\n"), 0o600))
	return id
}
