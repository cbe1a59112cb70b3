// Package config is the configuration of a run as plain values: defaults, one strict YAML file,
// variables, flags, in that order, and then every error at once.
//
// Promise: a value that is accepted means what was written; nothing is guessed. Non-promise: it does not
// look at the machine (mounts, servers): that is the doctor's and the run's. It imports nothing of ours.
// Called by cmd/interlock.
package config

import "time"

// Config is everything that a run can be told. Durations are Go durations ("20s"), sizes bytes.
type Config struct {
	Lock     Lock     `yaml:"lock"`
	Timing   Timing   `yaml:"timing"`
	Fence    Fence    `yaml:"fence"`
	Isolate  string   `yaml:"isolate"` // auto|pidns|cgroup|none
	Stop     Stop     `yaml:"stop"`
	User     string   `yaml:"user"` // UID[:GID], numeric or names of the local passwd file
	Mounts   []Mount  `yaml:"mounts"`
	Probe    Probe    `yaml:"probe"`
	Data     string   `yaml:"data"`      // directory of the payload's data; absolute
	StateDir string   `yaml:"state_dir"` // of claim and state file; empty: chosen, see docs/configuration.md
	Restore  Restore  `yaml:"restore"`
	Hooks    Hooks    `yaml:"hooks"`
	Health   Health   `yaml:"health"`
	Log      Log      `yaml:"log"`
	Budgets  Budgets  `yaml:"budgets"`
	Holder   string   `yaml:"holder"` // who we are; default POD_NAME/POD_UID, MESOS_TASK_ID, else host:pid
	DryRun   bool     `yaml:"-"`      // flag only
	Command  []string `yaml:"-"`      // argv after --
}

// Lock says which lock, and how to reach it.
type Lock struct {
	URL          string `yaml:"url"`  // zk:// etcd:// file://
	Wait         string `yaml:"wait"` // forever | 0 | duration
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	TLS          TLS    `yaml:"tls"`
	TokenEpoch   int    `yaml:"token_epoch"`
}

// TLS names PEM files.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Timing is the arithmetic of the lease, docs/protocol.md section 2.
type Timing struct {
	Hold       time.Duration `yaml:"hold"`
	Heartbeat  time.Duration `yaml:"heartbeat"`
	TryTimeout time.Duration `yaml:"try_timeout"`
	Tries      int           `yaml:"tries"`
	Grace      time.Duration `yaml:"grace"`
	KillBudget time.Duration `yaml:"kill_budget"`
	Margin     time.Duration `yaml:"margin"`
	Settle     time.Duration `yaml:"settle"`
	HoldMax    time.Duration `yaml:"hold_max"` // 0: the default, 60s or hold if larger
}

// Fence names this node to fence agents.
type Fence struct {
	Node           string `yaml:"node"`
	RequireDrained bool   `yaml:"require_drained"`
}

// Stop is an ordinary stop, heartbeats going on.
type Stop struct {
	Signal string        `yaml:"signal"` // name without SIG, or none
	Grace  time.Duration `yaml:"grace"`
}

// Mount is one mount that must be there, right and alive.
type Mount struct {
	Path      string        `yaml:"path"`
	FSType    string        `yaml:"fstype"`
	Source    string        `yaml:"source"` // glob
	Opts      []string      `yaml:"opts"`   // required, or forbidden with a leading !
	Volume    string        `yaml:"volume"`
	FailAfter time.Duration `yaml:"fail_after"`
}

// Probe is how mounts are asked whether they live.
type Probe struct {
	Period  time.Duration `yaml:"period"`
	Timeout time.Duration `yaml:"timeout"` // of each stage
}

// Restore is the scripted restore.
type Restore struct {
	Exec    []string      `yaml:"exec"`
	When    string        `yaml:"when"` // empty | always | never
	Timeout time.Duration `yaml:"timeout"`
}

// Hooks are commands around the payload's life.
type Hooks struct {
	PreStart  Hook `yaml:"pre_start"`
	PostStart Hook `yaml:"post_start"`
	PreStop   Hook `yaml:"pre_stop"`
	PostStop  Hook `yaml:"post_stop"`
}

// Hook is one command; it is killed after its timeout.
type Hook struct {
	Exec    []string      `yaml:"exec"`
	Timeout time.Duration `yaml:"timeout"`
}

// Health is what is seen from outside.
type Health struct {
	Listen     string `yaml:"listen"`      // host:port or unix:PATH; empty: off
	ReasonFile string `yaml:"reason_file"` // written, never created, where it is the default
}

// Log is how we write to stderr.
type Log struct {
	Format string `yaml:"format"` // text | json; empty: text on a terminal, else json
	Level  string `yaml:"level"`  // debug|info|warn|error
}

// Budgets bound the phases after the hold-off (T7).
type Budgets struct {
	Mount time.Duration `yaml:"mount"` // mount check after the grant
	Claim time.Duration `yaml:"claim"`
	Drain time.Duration `yaml:"drain"`
}
