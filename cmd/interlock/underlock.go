package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
)

// underLock runs do; with --lock it first becomes `interlock run` with this very verb as its payload: the same
// guard, agent and kill domain that a service has. A lost lock then kills the verb with all that it started,
// and only one runs in the cluster.
func underLock(c *cli.Context, do func() error) error {
	given := givenFlags(c)["lock"] // that of a file or a variable is the run's: a verb beside it must not queue for that
	if len(given) == 0 {
		return do()
	}
	r, err := resolveConfig(c, "lock.url")
	if err != nil {
		return err
	}
	inv := invocationOf(c)
	if lookup(inv.environ, "INTERLOCK_TOKEN") != "" && lockScope(lookup(inv.environ, "INTERLOCK_LOCK")) == lockScope(r.Config.Lock.URL) {
		return do() // we are that payload, or started by it
	}
	self, err := os.Executable()
	if err != nil {
		return exit.Withf(exit.Internal, "cannot find our own program: %w", err)
	}
	argv := append([]string{"interlock", "run"}, runFlags(r)...)
	argv = append(argv, "--", self)
	words := strings.Fields(helpName(c))[1:] // of the verb, such as warm dump
	argv = append(append(argv, words...), variableFlags(c, inv.environ)...)
	argv = append(argv, os.Args[1+len(words):]...)
	err = syscall.Exec(self, argv, withoutSettings(inv.environ))
	return exit.Withf(exit.Internal, "cannot become `interlock run`: %w", err)
}

// runFlags are the flags of the run that we become: what is set of the lock, its timing and the log. Who does
// not say how long to wait for the lock does not wait: the next try is due soon enough.
func runFlags(r config.Resolved) []string {
	var args []string
	waits := false
	flags := map[string]string{}
	for _, f := range config.Fields() {
		flags[f.Key] = f.Flag
	}
	for _, v := range r.Values {
		section, _, _ := strings.Cut(v.Key, ".")
		if v.Source == "default" || !strings.Contains(" lock timing fence log isolate holder stop ", " "+section+" ") {
			continue
		}
		waits = waits || v.Key == "lock.wait"
		args = append(args, "--"+flags[v.Key]+"="+v.Text())
	}
	if !waits {
		args = append(args, "--lock-wait=0")
	}
	return args
}

// variableFlags gives as flags what the verb was told by variables: a payload inherits no setting.
func variableFlags(c *cli.Context, environ []string) []string {
	var args []string
	for _, f := range c.Command.Flags {
		s, is := f.(*setting)
		if !is || s.IsSet() || s.field.Key == "lock.url" {
			continue
		}
		for _, value := range s.valuesOf(lookup(environ, s.field.Variable())) {
			args = append(args, "--"+s.field.Flag+"="+value)
		}
	}
	return args
}

// valuesOf are the values of the flag that a variable comes to; a list that is none is left to config to refuse.
func (s *setting) valuesOf(variable string) []string {
	if variable == "" {
		return nil
	}
	var list []string
	if s.each && json.Unmarshal([]byte(variable), &list) == nil {
		return list
	}
	return []string{variable}
}

// withoutSettings is the environment of the run that we become, which was told everything by flags.
func withoutSettings(environ []string) []string {
	ours := map[string]bool{config.FileField().Variable(): true}
	for _, f := range config.Fields() {
		ours[f.Variable()] = true
	}
	var rest []string
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); !ours[name] {
			rest = append(rest, entry)
		}
	}
	return rest
}
