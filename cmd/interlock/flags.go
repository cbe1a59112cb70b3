package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/lock"
)

// configFlags is a flag for the file and one for every field of the configuration.
func configFlags() []cli.Flag {
	flags := []cli.Flag{&setting{field: config.FileField()}}
	for _, group := range config.Groups() {
		for _, f := range group.Fields {
			flags = append(flags, &setting{field: f, group: group.Title})
		}
	}
	return flags
}

// A setting is a flag that keeps what it was given, each time, as text: package config reads it, so that a
// bad value is reported together with all others. Variables are config's, too.
type setting struct {
	field config.Field
	group string
	each  bool // of a list: each text is an element
	many  bool // a verb that works on several reads all texts itself; config gets the first
	typed bool // by a person in a shell: paths may be relative
	texts []string
}

// Apply, Names and IsSet are cli's Flag.
func (s *setting) Apply(set *flag.FlagSet) error {
	set.Var(&occurrences{s}, s.field.Flag, s.field.Help)
	return nil
}
func (s *setting) Names() []string { return []string{s.field.Flag} }
func (s *setting) IsSet() bool     { return len(s.texts) > 0 }

// String is the flag's line in the help: name and value, a tab, what it means.
func (s *setting) String() string {
	f := s.field
	line := "--" + f.Flag
	if s.each {
		line += " TEXT"
	} else if s.many {
		line += " [NODE=]ADDRESS"
	} else if !f.Switch() {
		line += " " + f.Kind()
	}
	line += "\t" + f.Help
	if text := f.DefaultText(); text != "" {
		line += " (default: " + text + ")"
	}
	return line + " [$" + f.Variable() + "]"
}

// What follows is what cli's help and completion ask a flag.
func (s *setting) TakesValue() bool       { return !s.field.Switch() }
func (s *setting) GetUsage() string       { return s.field.Help }
func (s *setting) GetCategory() string    { return s.group }
func (s *setting) GetValue() string       { return s.field.DefaultText() }
func (s *setting) GetEnvVars() []string   { return []string{s.field.Variable()} }
func (s *setting) IsVisible() bool        { return true }
func (s *setting) GetDefaultText() string { return s.field.DefaultText() }

// occurrences is the flag.Value of a setting.
type occurrences struct{ *setting }

func (o *occurrences) Set(text string) error { o.texts = append(o.texts, text); return nil }
func (o *occurrences) String() string        { return "" }
func (o *occurrences) IsBoolFlag() bool      { return o.setting != nil && o.field.Switch() }

// loadConfig is the configuration of a run: the lock and a command are required. The error has its exit
// code; the Config beside it tells where the reason is to be written, as far as that could be read.
func loadConfig(c *cli.Context) (config.Config, []string, error) {
	return loadConfigWith(c, "lock.url", "command")
}

// loadConfigWith is loadConfig for verbs that require other keys.
func loadConfigWith(c *cli.Context, require ...string) (config.Config, []string, error) {
	r, err := resolveConfig(c, require...)
	return r.Config, r.Warnings, err
}

// resolveConfig also tells where each value came from.
func resolveConfig(c *cli.Context, require ...string) (config.Resolved, error) {
	in, fileErr := inputs(c)
	in.Require = require
	r, err := config.Resolve(in)
	if fileErr != nil {
		// Without the file, what else is missing is not worth telling.
		err = fileErr
	}
	return r, exit.With(exit.Config, err)
}

func inputs(c *cli.Context) (config.Inputs, error) {
	inv := invocationOf(c)
	in := config.Inputs{
		Env: inv.environ, Command: inv.command, PID: os.Getpid(),
		Flags: givenFlags(c), CheckTiming: checkTiming, CheckSchedule: checkSchedule, CheckRing: checkRing, Rename: renamed(c),
		CommandIsBackup: c.Command.Name == "backup",
	}
	var err error
	if in.Hostname, err = os.Hostname(); err != nil {
		in.Hostname = "" // config says so where it is needed
	}
	// A termination log that cannot be looked at cannot be written either.
	_, statErr := os.Stat(config.DefaultReasonFile)
	in.TerminationLogExists = statErr == nil
	in.FileName, err = configFile(in.Flags, inv.environ)
	if err != nil || in.FileName == "" {
		return in, err
	}
	in.File, err = readConfigFile(in.FileName)
	return in, err
}

func givenFlags(c *cli.Context) map[string][]string {
	given := map[string][]string{}
	for _, f := range c.Command.Flags {
		if s, is := f.(*setting); is && s.IsSet() {
			given[s.field.Flag] = s.given()
		}
	}
	return given
}

// given is what config reads: a list is one JSON array.
func (s *setting) given() []string {
	if s.many {
		_, first := nodeAddress(s.texts[0])
		return []string{first}
	}
	if !s.each {
		return s.absolute()
	}
	array, err := json.Marshal(s.texts)
	if err != nil { // of strings there is none
		return s.texts
	}
	return []string{string(array)}
}

// renamed is what this verb calls the flags of keys.
func renamed(c *cli.Context) map[string]string {
	names := map[string]string{}
	for _, f := range c.Command.Flags {
		if s, is := f.(*setting); is && s.field.Key != "" {
			names[s.field.Key] = s.field.Flag
		}
	}
	return names
}

// configFile is the name of the file, from the flag or the variable.
func configFile(given map[string][]string, environ []string) (string, error) {
	f := config.FileField()
	if names := given[f.Flag]; len(names) == 1 && names[0] != "" {
		return names[0], nil
	} else if len(names) > 0 {
		return "", fmt.Errorf("--%s: found %q: expected one file", f.Flag, names)
	}
	return lookup(environ, f.Variable()), nil
}

func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, is := strings.CutPrefix(entry, name+"="); is {
			return value
		}
	}
	return ""
}

const maxConfigFile = 1 << 20

func readConfigFile(name string) ([]byte, error) {
	data, err := readLimited(name, maxConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("configuration file %s does not exist: expected the YAML file of --config", name)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration file: %w", err)
	}
	return data, nil
}

// readLimited reads a whole file of at most limit bytes.
func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

// lockTiming is the configured timing as package lock computes with it.
func lockTiming(t config.Timing) lock.Timing {
	l := lock.Timing{
		Hold: t.Hold, Heartbeat: t.Heartbeat, TryTimeout: t.TryTimeout, Tries: t.Tries, Grace: t.Grace,
		KillBudget: t.KillBudget, Margin: t.Margin, Settle: t.Settle,
		HoldMax: t.HoldMax, HoldMaxSet: t.HoldMax != 0,
	}
	if !l.HoldMaxSet {
		l.HoldMax = max(lock.DefaultTiming().HoldMax, t.Hold)
	}
	return l
}

func checkSchedule(text string) error {
	_, err := backup.ParseSchedule(text, nil)
	return err
}

func checkTiming(t config.Timing) []error { return lockTiming(t).Check() }
