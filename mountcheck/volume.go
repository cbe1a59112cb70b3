package mountcheck

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// InitVolume writes the sentinel file of a mount and returns the id in it: the given one, or a random
// one. It refuses a directory on which nothing is mounted, and never changes another id that is there;
// with an empty id it keeps and returns that one.
func InitVolume(path, id string) (string, error) {
	e, err := Expect{Path: path, Volume: id}.Check()
	if err != nil {
		return "", fmt.Errorf("cannot write a volume id: %w", err)
	}
	keep := id == ""
	if keep {
		id = randomID()
	}
	tb, err := readTable()
	if err != nil {
		return "", err
	}
	real, _, err := tb.resolve(e.Path)
	if err != nil {
		return "", err
	}
	m := tb.holder(real)
	if m.Point != real || m.FSType == "autofs" {
		return "", fmt.Errorf("cannot write a volume id: nothing is mounted at %s, it is a directory of %s; mount it first", path, m)
	}
	return writeVolume(m, id, keep)
}

func writeVolume(m Mount, id string, keep bool) (string, error) {
	v := newEnv(Config{})
	defer v.close()
	p := prober{env: v, mount: m.Point}
	r, f := p.one(context.Background(), m.Point, m.ident(), probe.Step{Op: probe.OpInit, Text: id, Option: keep})
	if err := p.end(); err != nil {
		return "", err
	}
	switch {
	case f.Kind != OK:
		return "", fmt.Errorf("cannot write a volume id to %s: %s: %s", m.Point, f.Kind, f.Detail)
	case r.Status == probe.StatusExists:
		return "", fmt.Errorf("cannot write the volume id %s to %s: it is volume %.140q already; expect that one, or remove %s by hand",
			id, m.Point, r.Data, probe.Sentinel)
	case r.Status != probe.StatusOK:
		return "", fmt.Errorf("cannot write a volume id to %s: %s", m.Point, answerText(r))
	}
	if got := string(r.Data); validID(got) {
		return got, nil
	}
	return "", fmt.Errorf("the volume id in %s/%s is %.140q, expected 1 to 128 letters, digits, dots, underscores, colons or hyphens",
		m.Point, probe.Sentinel, r.Data)
}

// randomID is a random UUID (version 4).
func randomID() string {
	b := make([]byte, 16)
	// crypto/rand never fails: it ends the process instead.
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
