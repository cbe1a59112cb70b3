package main

import (
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
)

// memcachedArgs is what warming must know of a memcached that is the payload.
type memcachedArgs struct {
	binary string // the option that leaves no text protocol; empty: none
	silent string // the option by which it lists no keys; empty: none
	memory string // the file in which its content outlives a restart; empty: none
}

// memcachedValued are the options with one letter that take a value.
const memcachedValued = "aspUmclufntDRBbIoYe"

// readMemcached reads the command line of a memcached, which may stand behind a wrapper. One that a shell starts
// is not seen.
func readMemcached(argv []string) (m memcachedArgs, is bool) {
	for len(argv) > 0 && filepath.Base(argv[0]) != "memcached" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return m, false
	}
	for rest := argv[1:]; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		if long, is := strings.CutPrefix(word, "--"); is {
			name, value, _ := strings.Cut(long, "=")
			m.take(map[string]byte{"enable-sasl": 'S', "protocol": 'B', "disable-dumping": 'X', "memory-file": 'e'}[name], value)
			continue
		}
		for letters := strings.TrimPrefix(word, "-"); letters != "" && letters != word; {
			letter, value := letters[0], letters[1:]
			letters = value
			if strings.IndexByte(memcachedValued, letter) < 0 {
				m.take(letter, "")
				continue
			}
			if value == "" && len(rest) > 0 {
				value, rest = rest[0], rest[1:]
			}
			m.take(letter, value)
			letters = ""
		}
	}
	return m, true
}

func (m *memcachedArgs) take(letter byte, value string) {
	switch letter {
	case 'S':
		m.binary = "-S"
	case 'B':
		if value == "binary" {
			m.binary = "-B binary"
		}
	case 'X':
		m.silent = "-X"
	case 'e':
		m.memory = value
	}
}

// checkWarm refuses what can never be warmed, as far as the configuration and the command tell.
func checkWarm(w config.Warm, argv []string) error {
	if w.Memcached == "" || w.Schedule == "" && w.From == config.FromNone {
		return nil
	}
	m, _ := readMemcached(argv)
	switch {
	case m.binary != "":
		return exit.Withf(exit.Config, "memcached with %s (SASL) speaks only the binary protocol, in which it lists no items and takes no load: expected ASCII authentication (-Y FILE), or no warm.memcached", m.binary)
	case m.silent != "" && w.Schedule != "":
		return exit.Withf(exit.Config, "memcached with %s lists no items, so warm.schedule can dump none: remove one of the two", m.silent)
	case w.Order == config.ColdestFirst && w.Loads() && w.Ready != config.WhenWarm:
		return exit.Withf(exit.Config, "warm.order %s together with warm.ready %s: clients would be there before the hottest items are: expected %s, or warm.ready %s",
			w.Order, w.Ready, config.HottestFirst, config.WhenWarm)
	}
	return nil
}
