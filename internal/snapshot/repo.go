package snapshot

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/interlock-run/interlock/internal/store"
)

// A Config is interlock.json: what a repository is. It is written once.
type Config struct {
	Interlock  string    `json:"interlock"` // "repository"
	Format     int       `json:"format"`
	ID         string    `json:"id"` // 32 hexadecimal digits, random
	Hash       string    `json:"hash"`
	Recipients []string  `json:"recipients,omitempty"` // of encrypted repositories
	Scope      Scope     `json:"scope,omitzero"`       // the only lock that may ever commit; zero: the first one that does
	Created    time.Time `json:"created"`
}

// A Repository is one that was opened. Its methods may be called from many goroutines.
type Repository struct {
	Config
	store   store.Store
	clock   func() time.Time
	newest  atomic.Uint64 // a catalog number that is known to exist or to have existed
	windows windows
	seal    *seal    // nil: not encrypted
	keys    *keyring // nil: what is encrypted cannot be read
	dropped rule     // by the model's test
}

func (r *Repository) now() time.Time { return r.clock() }

var repositoryID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Open reads interlock.json. It tells a place that holds nothing (ErrMissing) from one that holds something
// else (ErrForeign); a store that does not answer is neither.
func Open(ctx context.Context, st store.Store, clock func() time.Time) (*Repository, error) {
	data, err := fetchAll(ctx, st, configKey, maxConfig)
	if errors.Is(err, store.ErrNotFound) {
		return nil, absent(ctx, st)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configKey, err)
	}
	c, err := decodeConfig(data)
	if err != nil {
		return nil, err
	}
	return newRepository(c, st, clock)
}

func newRepository(c Config, st store.Store, clock func() time.Time) (*Repository, error) {
	r := &Repository{Config: c, store: st, clock: clock, windows: standardWindows()}
	if c.Format == Format {
		return r, nil
	}
	s, err := newSeal(c.Recipients)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrForeign, configKey, err)
	}
	r.seal = s
	return r, nil
}

// absent says what a place without interlock.json is.
func absent(ctx context.Context, st store.Store) error {
	for o, err := range st.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("%s is not there, and what else is cannot be listed: %w", configKey, err)
		}
		if o.Key != recoverKey {
			return fmt.Errorf("%w: there is no %s, but %.100q: name an empty place, or put the file back", ErrForeign, configKey, o.Key)
		}
	}
	return fmt.Errorf("%w: make one with `interlock store init`", ErrMissing)
}

func decodeConfig(data []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, damaged("%s: %v", configKey, err)
	}
	switch {
	case c.Interlock != "repository":
		return Config{}, fmt.Errorf("%w: %s says %.40q, expected \"repository\"", ErrForeign, configKey, c.Interlock)
	case c.Format != Format && c.Format != FormatSealed || c.Hash != hashName:
		return Config{}, fmt.Errorf("%w: format %d with hash %.20q, this release reads %d and %d with %s", ErrForeign, c.Format, c.Hash, Format, FormatSealed, hashName)
	case c.Format == Format && len(c.Recipients) > 0:
		return Config{}, fmt.Errorf("%w: format %d with %d recipients, expected none", ErrForeign, c.Format, len(c.Recipients))
	case !repositoryID.MatchString(c.ID):
		return Config{}, damaged("%s: id %.40q, expected 32 hexadecimal digits", configKey, c.ID)
	}
	return c, nil
}

// Init makes a repository in an empty place and opens it. scope may be zero. A second Init fails with
// store.ErrExists, also one at the same time.
func Init(ctx context.Context, st store.Store, scope Scope, clock func() time.Time) (*Repository, error) {
	return create(ctx, st, Config{Format: Format, Scope: scope}, clock)
}

// InitEncrypted is Init for a repository whose manifests and packs are encrypted for age recipients. They
// never change. Who writes needs no more; who reads gives UseIdentities one of their identities.
func InitEncrypted(ctx context.Context, st store.Store, scope Scope, recipients []string, clock func() time.Time) (*Repository, error) {
	if _, err := newSeal(recipients); err != nil {
		return nil, err
	}
	return create(ctx, st, Config{Format: FormatSealed, Scope: scope, Recipients: recipients}, clock)
}

func create(ctx context.Context, st store.Store, c Config, clock func() time.Time) (*Repository, error) {
	old, err := Open(ctx, st, clock)
	if err == nil {
		return nil, fmt.Errorf("repository %s: %w", old.ID, store.ErrExists)
	}
	if !errors.Is(err, ErrMissing) {
		return nil, err
	}
	if err := st.Create(ctx, recoverKey, []byte(recoverText(c.Format == FormatSealed))); err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrAmbiguous) {
		return nil, fmt.Errorf("%s: %w", recoverKey, err)
	}
	c.Interlock, c.ID, c.Hash, c.Created = "repository", nonce(), hashName, clock().UTC()
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, err
	}
	failed := st.Create(ctx, configKey, append(data, '\n'))
	if failed != nil && !errors.Is(failed, store.ErrExists) && !errors.Is(failed, store.ErrAmbiguous) {
		return nil, fmt.Errorf("%s: %w", configKey, failed)
	}
	r, err := Open(ctx, st, clock)
	if err == nil && r.ID != c.ID {
		return nil, fmt.Errorf("repository %s, made by another at the same time: %w", r.ID, store.ErrExists)
	}
	if err != nil && failed != nil {
		return nil, fmt.Errorf("%s: %w", configKey, errors.Join(failed, err))
	}
	return r, err
}

// nonce is 128 random bits.
func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// fetchAll reads a whole small object.
func fetchAll(ctx context.Context, st store.Store, key string, most int64) ([]byte, error) {
	body, err := st.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	n, err := io.Copy(&data, io.LimitReader(body, most+1))
	if err == nil && n > most {
		err = damaged("more than %d bytes", most)
	}
	return data.Bytes(), errors.Join(err, body.Close())
}
