package config

import "slices"

// Inputs is everything that a configuration is made from. Nothing else is looked at.
type Inputs struct {
	File                 []byte              // the YAML file; nil: none
	FileName             string              // for messages
	Env                  []string            // NAME=VALUE
	Flags                map[string][]string // flags that were given, by name, each with its values
	Command              []string            // argv after --
	CommandIsBackup      bool                // that stands for backup.exec
	Hostname             string              // for the defaults of holder and fence.node
	PID                  int                 // for the default of holder
	TerminationLogExists bool                // whether DefaultReasonFile is there
	Require              []string            // keys that must have a value; "command" is the argv
	CheckTiming          func(Timing) []error
	CheckSchedule        func(string) error // of backup.schedule; nil: any text
	CheckRing            func(string) error // of warm.ring.kind; nil: any text
	Rename               map[string]string  // by key: what a verb calls the flag of that key
}

// A Value is one field's effective value and where it came from.
type Value struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Source string `json:"source"`         // default, FILE:LINE, INTERLOCK_VARIABLE or --flag
	Note   string `json:"note,omitempty"` // what an empty or zero default comes to
}

// Text is the value on one line, or what stands for it where it is left to the run.
func (v Value) Text() string {
	if v.Note != "" {
		return "(" + v.Note + ")"
	}
	return text(v.Value)
}

// Resolved is a configuration with its story.
type Resolved struct {
	Config   Config
	Values   []Value // every field, in table order
	Warnings []string
}

// Load makes a configuration: flag over variable over file over default. The error, if any, is Problems:
// all of them. The Config is then what could be understood, good for nothing but telling where the reason
// of the failure is to be written.
func Load(in Inputs) (Config, []string, error) {
	r, err := Resolve(in)
	return r.Config, r.Warnings, err
}

// Resolve is Load that also tells where each value came from.
func Resolve(in Inputs) (Resolved, error) {
	l := newLoader(in)
	l.readFile()
	l.readEnv()
	l.readFlags()
	l.fillDefaults()
	l.verify()
	r := Resolved{Config: l.cfg, Values: l.values(), Warnings: l.warnings}
	if len(l.problems) > 0 {
		return r, Problems(l.problems)
	}
	return r, nil
}

// A loader is one Load under way.
type loader struct {
	in       Inputs
	cfg      Config
	fields   []Field
	origin   map[string]string // by key: where the effective value came from
	bad      map[string]bool   // by key: the last source that gave the value was refused
	problems []Problem
	warnings []string
}

func newLoader(in Inputs) *loader {
	l := &loader{in: in, cfg: Defaults(), fields: fieldsAs(in.Rename), origin: map[string]string{}, bad: map[string]bool{}}
	l.cfg.Command = slices.Clone(in.Command)
	return l
}

func (l *loader) problem(where, what string) {
	l.problems = append(l.problems, Problem{Where: where, What: what})
}

// isSet tells whether a source, not the default, gave the value.
func (l *loader) isSet(key string) bool { return l.origin[key] != "" }

// assign sets a field from the texts of a flag or a variable.
func (l *loader) assign(f Field, source string, texts []string) {
	l.keep(f, source, func(target any) bool {
		if mounts, is := target.(*[]Mount); is {
			list, ok := l.parseMounts(source, texts)
			*mounts = list
			return ok
		}
		last := texts[len(texts)-1]
		if last == "" && f.emptyMeansNothing() {
			l.problem(source, `found "", the value of a variable that is not set, perhaps: leave it out where none is meant`)
			return false
		}
		return l.accept(source, last, target, setScalar(target, last), f.verify)
	})
}

// keep lets set change a field of a copy, and takes the copy over if it was sound: a value that was
// refused is never seen by anyone, not even by who writes down that it was refused.
func (l *loader) keep(f Field, source string, set func(target any) bool) {
	next := l.cfg
	ok := set(f.at(&next))
	if ok {
		l.cfg = next
	}
	l.origin[f.Key] = source
	l.bad[f.Key] = !ok
}

func (l *loader) values() []Value {
	list := make([]Value, 0, len(l.fields))
	for _, f := range l.fields {
		v := Value{Key: f.Key, Value: plain(f.at(&l.cfg)), Source: l.origin[f.Key]}
		if v.Source == "" {
			v.Source = "default"
			if slices.Contains([]string{"", "0s", "[]"}, text(v.Value)) {
				v.Note = f.Unset
			}
		}
		list = append(list, v)
	}
	return list
}
