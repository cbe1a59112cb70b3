package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
)

// storeFlags is what every verb for snapshots takes: the file, the store and the log, and further keys by
// what their flags are called here.
func storeFlags(more ...named) []cli.Flag {
	flags := []cli.Flag{&setting{field: config.FileField()}}
	for _, group := range config.Groups() {
		for _, f := range group.Fields {
			if strings.HasPrefix(f.Key, "store.") || strings.HasPrefix(f.Key, "log.") {
				flags = append(flags, &setting{field: f, group: group.Title, typed: true})
			}
			for _, n := range more {
				if n.key == f.Key {
					flags = append(flags, n.setting(f, group.Title))
				}
			}
		}
	}
	return flags
}

// A named is a key and the flag that a verb has for it.
type named struct {
	key, flag string
	unset     string // what its default comes to for the verb, where that is another one
	each      bool   // a list's flag takes one element, and may be given again
	many      bool   // may be given again, for each that the verb works on
	help      string // what it says for the verb, where that is something else
}

func (n named) setting(f config.Field, group string) *setting {
	f = f.As(n.flag)
	if n.unset != "" {
		f.Unset = n.unset
	}
	if n.help != "" {
		f.Help = n.help
	}
	return &setting{field: f, group: group, each: n.each, many: n.many, typed: true}
}

// lockFlags are those by which a lock is reached, without the lock itself.
func lockFlags() []named {
	var all []named
	for _, f := range config.Fields() {
		if strings.HasPrefix(f.Key, "lock.") && f.Key != "lock.url" && f.Key != "lock.wait" {
			all = append(all, named{key: f.Key, flag: f.Flag})
		}
	}
	return all
}

// lockedFlags are those of verbs that can be run under a lock of their own.
func lockedFlags(more ...named) []cli.Flag {
	more = append(more, lockFlags()...)
	return storeFlags(append(more, named{key: "lock.url", flag: "lock"}, named{key: "lock.wait", flag: "lock-wait", unset: "0"})...)
}

// writerFlags are those of verbs that commit: the lock to be run under, and that of the run beside us.
func writerFlags(more ...named) []cli.Flag {
	return append(lockedFlags(more...), &cli.StringFlag{
		Name: besideKey, Usage: "`URL` of the lock of the run that the repository belongs to: its holder's token is borrowed while its payload runs",
	})
}

// keepFlags are the keys of retention.
func keepFlags() []named {
	var all []named
	for _, f := range config.Fields() {
		if name, is := strings.CutPrefix(f.Key, "backup.keep."); is {
			all = append(all, named{key: f.Key, flag: "keep-" + name})
		}
	}
	return all
}
