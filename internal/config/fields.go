package config

import (
	"slices"
	"strings"
	"time"
)

// A Field describes one value of the configuration, once: the file's keys, the flags, the variables, the
// documentation, the sample file and the tests are all made from the table of fields.
type Field struct {
	Key     string   // dotted path in the file
	Flag    string   // name of the flag, without dashes
	Help    string   // one sentence without a full stop
	Values  []string // the only values, where there are few
	Unset   string   // what an empty or zero default comes to
	Example string   // YAML for the sample file, where the default is empty

	variable string // where the flag was renamed

	at    func(*Config) any      // where the value lives: *string, *int, *bool, *time.Duration, *[]string, *[]Mount
	check func(value any) string // what was expected instead, or nothing when the value is fine
}

// variablePrefix begins the name of every variable that is ours.
const variablePrefix = "INTERLOCK_"

// A Group is a run of fields under one heading.
type Group struct {
	Title  string
	Fields []Field
}

// Groups is the whole table, in the order of the documentation.
func Groups() []Group {
	return []Group{
		{"Lock", lockFields()},
		{"Timing and fencing", timingFields()},
		{"Process", processFields()},
		{"Storage", storageFields()},
		{"Block device", deviceFields()},
		{"Snapshot store", storeFields()},
		{"Restore", restoreFields()},
		{"Backup", slices.Concat(backupFields(), keepFields())},
		{"Warming a cache", warmFields()},
		{"Hooks", hookFields()},
		{"Seen from outside", outsideFields()},
	}
}

// Fields is the table without its headings.
func Fields() []Field {
	var all []Field
	for _, g := range Groups() {
		all = append(all, g.Fields...)
	}
	return all
}

// FileField describes the flag and variable that name the file itself; it has no key in it.
func FileField() Field {
	return Field{Flag: "config", Help: "the YAML file with the configuration", at: func(*Config) any { return new(string) }}
}

// As is the field under the name that a verb gives its flag: what is --backup-mode to a run is --mode to a
// backup. Key and variable stay.
func (f Field) As(flag string) Field {
	f.variable, f.Flag = f.Variable(), flag
	return f
}

// emptyMeansNothing tells a text whose default is none, so that an empty flag says nothing and is a mistake: with
// --user "$ID" and no ID a payload would run as root, with --data "$DIR" and no DIR nothing would be watched.
func (f Field) emptyMeansNothing() bool {
	d := Defaults()
	text, is := f.at(&d).(*string)
	return is && *text == ""
}

func fieldsAs(rename map[string]string) []Field {
	all := Fields()
	for i, f := range all {
		if flag := rename[f.Key]; flag != "" {
			all[i] = f.As(flag)
		}
	}
	return all
}

// Variable is the name of the field's environment variable.
func (f Field) Variable() string {
	if f.variable != "" {
		return f.variable
	}
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(f.Flag, "-", "_"))
}

// Kind names what the field takes, as help and documentation print it.
func (f Field) Kind() string {
	if len(f.Values) > 0 {
		return strings.Join(f.Values, "|")
	}
	switch f.at(new(Config)).(type) {
	case *time.Duration:
		return "DURATION"
	case *int:
		return "NUMBER"
	case *bool:
		return "true|false"
	case *[]string:
		return "JSON-ARRAY"
	case *[]Mount:
		return "MOUNT"
	}
	return "TEXT"
}

// Repeatable tells whether the flag may be given more than once.
func (f Field) Repeatable() bool {
	_, is := f.at(new(Config)).(*[]Mount)
	return is
}

// Switch tells whether the flag may stand without a value.
func (f Field) Switch() bool {
	_, is := f.at(new(Config)).(*bool)
	return is
}

// DefaultText is the default as help and documentation print it.
func (f Field) DefaultText() string {
	defaults := Defaults()
	if f.Unset != "" {
		return f.Unset
	}
	return text(plain(f.at(&defaults)))
}
