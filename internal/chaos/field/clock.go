package field

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// clockVariable is how a binary built with the tag mutate is told to bend what the kernel's clocks say
// (internal/clock). Payload, judge and field keep to the kernel's.
const clockVariable = "BENT_CLOCK"

// Bends tells whether a binary can: the others have not even the word.
func Bends(interlock string) error {
	text, err := os.ReadFile(interlock)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte(clockVariable)) {
		return fmt.Errorf("%s does not bend clocks: expected a binary built with -tags mutate", interlock)
	}
	return nil
}

// clock draws the rates of a start's clocks, as if each ran on another machine, from the seed and the start
// alone: CLOCK_BOOTTIME slewed by up to a tenth, CLOCK_MONOTONIC_RAW within rho.
func (f *Field) clock(host string) []string {
	if !f.Bend {
		return nil
	}
	r := rand.New(rand.NewPCG(f.Seed^0xc10c, number(host)))
	boot, raw := 0.9+0.1*float64(r.IntN(3)), 0.998+0.002*float64(r.IntN(3))
	return []string{fmt.Sprintf("%s=boot*%.3f,raw*%.3f,boot+1h@%s", clockVariable, boot, raw, f.jumpFile(host))}
}

func (f *Field) jumpFile(host string) string { return filepath.Join(f.Dir, host+".jump") }

// Jump moves CLOCK_BOOTTIME of one start forward by an hour, as a suspended machine does when it goes on.
func (f *Field) Jump(host string) error {
	file, err := os.OpenFile(f.jumpFile(host), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString("j")
	return errors.Join(err, file.Close())
}
