package config

import "time"

// Snapshots groups what has to do with them: where they lie, how they come back, how they are made.
type Snapshots struct {
	Store   Store
	Restore Restore
	Backup  Backup
	Warm    Warm
}

// Store says where snapshots lie. Nothing in it is a secret: keys come by AWS's variables and files.
type Store struct {
	URL             string // s3://BUCKET/PREFIX or file:///DIR; empty: none
	Endpoint        string
	Region          string
	PathStyle       bool
	CA              string
	CredentialsFile string
	Profile         string
	IdentityFile    string // age identities, to read an encrypted repository
}

// Restore is how the data directory is filled.
type Restore struct {
	From     string // exec | store
	Exec     []string
	When     string // empty | always | never
	OnEmpty  string // stop | start: with a store that holds no snapshot
	Diverged string // stop | keep-copy | replace: data that a later holder has overtaken
	At       string // latest | ID | TIME
	Timeout  time.Duration
}

// Backup is how snapshots are made.
type Backup struct {
	Mode        string // read it with Effective
	Preset      string
	Exec        []string // writes the snapshot's bytes to its standard output
	Freeze      []string
	Schedule    string // cron expression or interval; empty: none
	Spread      time.Duration
	OnStop      bool
	Timeout     time.Duration
	Keep        Keep
	Exclude     []string
	AllowShrink bool
	User        string // of exec, freeze and the preset's command
}

// Keep is how many snapshots retention leaves; all zero: nothing is ever removed.
type Keep struct {
	Last    int
	Hourly  int
	Daily   int
	Weekly  int
	Monthly int
}

// ModeCommand is the mode that presets and commands have.
const ModeCommand = "command"

// Effective is the mode, also where a preset or a command alone tells it; empty: none was told.
func (b Backup) Effective() string {
	if b.Mode == "" && (b.Preset != "" || len(b.Exec) > 0) {
		return ModeCommand
	}
	return b.Mode
}

// Wanted tells whether a run takes backups.
func (b Backup) Wanted() bool { return b.Schedule != "" || b.OnStop }

func (b Backup) part() Part {
	if !b.OnStop {
		return Part{}
	}
	return Part{"backup-timeout", b.Timeout}
}

// Wanted tells whether a run may restore anything.
func (r Restore) Wanted() bool {
	return r.When != "never" && (len(r.Exec) > 0 || r.From == FromStore)
}

// FromStore is restore.from where snapshots are restored.
const FromStore = "store"
