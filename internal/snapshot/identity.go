package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
)

// recipientsAtMost bounds what each object has in front: so many post-quantum recipients fill 25 KiB.
const recipientsAtMost = 16

// ParseRecipients reads age recipients (age1…, age1pq1…) as they stand in interlock.json.
func ParseRecipients(texts []string) ([]age.Recipient, error) {
	if len(texts) == 0 || len(texts) > recipientsAtMost {
		return nil, fmt.Errorf("%d recipients: expected 1 to %d", len(texts), recipientsAtMost)
	}
	var list []age.Recipient
	for i, text := range texts {
		if slices.Contains(texts[:i], text) {
			return nil, fmt.Errorf("recipient %.80q is there twice", text)
		}
		r, err := parseRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("recipient %d: %w", i+1, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// parseRecipient says of what it refuses what to take instead. It never repeats a text that may be a secret.
func parseRecipient(text string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(strings.ToUpper(text), "AGE-"):
		return nil, errors.New("this is an identity, a secret: expected its public key, which `age-keygen -y FILE` shows")
	case strings.HasPrefix(text, "ssh-"):
		return nil, errors.New("SSH keys are not taken: make a key with `age-keygen`")
	case !strings.HasPrefix(text, "age1"):
		return nil, errors.New("expected age1… or age1pq1…: passphrases are not taken, and a file of recipients is given line by line")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("expected one recipient, without spaces")
	}
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%w (those of plugins, as age1yubikey1…, are not taken)", err)
	}
	return list[0], nil
}

// ParseIdentities reads what an identity file of age holds. It never repeats any of it.
func ParseIdentities(from io.Reader) ([]age.Identity, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	switch {
	case len(text) > maxConfig:
		return nil, fmt.Errorf("%w: a file of more than %d bytes holds no identities", ErrIdentity, maxConfig)
	case bytes.HasPrefix(text, []byte("age-encryption.org/")) || bytes.HasPrefix(text, []byte("-----BEGIN AGE")):
		return nil, fmt.Errorf("%w: the identity file is encrypted itself: `age -d` it first, into a file that only we can read", ErrIdentity)
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
		return nil, fmt.Errorf("%w: an SSH key: expected AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…, a line each", ErrIdentity)
	}
	list, err := age.ParseIdentities(bytes.NewReader(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))))
	if err != nil {
		return nil, fmt.Errorf("%w: identities: %w", ErrIdentity, err)
	}
	return list, nil
}

// Encrypted tells whether manifests and packs are encrypted.
func (r *Repository) Encrypted() bool { return r.seal != nil }

// Readable tells whether they can be read: they are not encrypted, or UseIdentities was given a key.
func (r *Repository) Readable() bool { return r.seal == nil || r.keys != nil }

// UseIdentities gives the repository the keys to read with, before anybody reads: ErrIdentity if none is one
// of its recipients'. Where nothing is encrypted it does nothing.
func (r *Repository) UseIdentities(ids ...age.Identity) error {
	if r.seal == nil {
		return nil
	}
	var fit []age.Identity
	for _, id := range ids {
		if text, known := recipientOf(id); known && slices.Contains(r.Recipients, text) {
			fit = append(fit, id)
		}
	}
	if len(fit) == 0 {
		return fmt.Errorf("%w: none of %d identities given is that of one of its %d recipients, %s", ErrIdentity, len(ids), len(r.Recipients), r.Recipients)
	}
	r.keys = newKeyring(fit)
	return nil
}

// recipientOf is an identity's public key; false for kinds that ParseIdentities does not give.
func recipientOf(id age.Identity) (string, bool) {
	switch id := id.(type) {
	case *age.X25519Identity:
		return id.Recipient().String(), true
	case *age.HybridIdentity:
		return id.Recipient().String(), true
	}
	return "", false
}

// locked is the error of a read without a key.
func (r *Repository) locked() error {
	return fmt.Errorf("%w: repository %s is encrypted for %d recipients: give the identity of one (--store-identity-file)", ErrIdentity, r.ID, len(r.Recipients))
}
