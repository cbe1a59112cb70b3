//go:build mutate

package clock

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Variable says how this build bends what the kernel's clocks say, as in
// "boot*1.1,raw*0.998,boot-1h@/path/of/a/file": a rate from the boot on, so that all processes of a run
// agree, and a jump at each byte that is appended to the file, which need not be there. The name has no INTERLOCK_ in front:
// those are kept from the gates, which look at the clock as well.
const Variable = "BENT_CLOCK"

// A course is what became of one clock.
type course struct {
	rate float64
	jump time.Duration
	from string // a file; empty: no jump
}

type courses struct{ boot, raw course }

// given is what the environment says. Who cannot follow it must not go on with clocks that nobody asked for.
var given = sync.OnceValue(func() courses {
	c, err := parse(os.Getenv(Variable))
	if err != nil {
		refuse(err)
	}
	return c
})

func bend(s Stamp) Stamp {
	c := given()
	return Stamp{Boot: c.boot.follow(s.Boot), Raw: c.raw.follow(s.Raw)}
}

// OnTimer: the kernel's timers know nothing of a bend.
func OnTimer(d time.Duration) time.Duration {
	return time.Duration(float64(d) / given().boot.rate)
}

// Inherited is for processes that are started without an environment.
func Inherited() []string { return []string{Variable + "=" + os.Getenv(Variable)} }

func (c course) follow(d time.Duration) time.Duration {
	if c.rate != 1 {
		d = time.Duration(float64(d) * c.rate)
	}
	if c.from == "" {
		return d
	}
	var st unix.Stat_t
	switch err := unix.Stat(c.from, &st); err {
	case nil:
		return d + c.jump*time.Duration(st.Size)
	case unix.ENOENT:
		return d
	default:
		refuse(errors.New(c.from + ": " + err.Error()))
		return 0
	}
}

func parse(text string) (courses, error) {
	all := courses{course{rate: 1}, course{rate: 1}}
	if text == "" {
		return all, nil
	}
	for _, part := range strings.Split(text, ",") {
		var err error
		if rest, ok := strings.CutPrefix(part, "boot"); ok {
			err = all.boot.take(rest)
		} else if rest, ok := strings.CutPrefix(part, "raw"); ok {
			err = all.raw.take(rest)
		} else {
			err = errors.New("no clock of that name")
		}
		if err != nil {
			return all, errors.New(strconv.Quote(part) + ": " + err.Error() + ": expected boot or raw, with *RATE, +DURATION@FILE or -DURATION@FILE")
		}
	}
	return all, nil
}

// take is one part of a description, without the clock's name.
func (c *course) take(text string) (err error) {
	if rate, ok := strings.CutPrefix(text, "*"); ok {
		c.rate, err = strconv.ParseFloat(rate, 64)
		if err == nil && !(c.rate > 0.5 && c.rate < 2) {
			err = errors.New("no rate between 0.5 and 2")
		}
		return err
	}
	jump, file, ok := strings.Cut(text, "@")
	if !ok || file == "" || c.from != "" || !strings.HasPrefix(jump, "+") && !strings.HasPrefix(jump, "-") {
		return errors.New("neither a rate nor the one jump")
	}
	c.from = file
	c.jump, err = time.ParseDuration(jump)
	return err
}

func refuse(err error) {
	os.Stderr.WriteString(Variable + ": " + err.Error() + "\n")
	os.Exit(78)
}
