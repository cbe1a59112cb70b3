// Package config is the configuration of a run as plain values: defaults, one strict YAML file,
// variables, flags, in that order, and then every error at once.
//
// Promise: a value that is accepted means what was written; nothing is guessed. Non-promise: it does not
// look at the machine (mounts, servers): that is the doctor's and the run's. It imports nothing of ours.
// Called by cmd/interlock.
package config

import "time"

// Config is everything that a run can be told. The table of fields (fields.go) gives each value its key
// in the file, its flag and its variable. Storage, Process and Snapshots are embedded: they group values
// whose keys stand at the top of the file.
type Config struct {
	Lock   Lock
	Timing Timing
	Fence  Fence
	Process
	Storage
	Snapshots
	Hooks   Hooks
	Health  Health
	Log     Log
	Budgets Budgets
	// Orchestrator is what those around us allow, as far as we were told; needs.go compares it.
	Orchestrator Orchestrator
	Holder       string // who we are; default POD_NAME/POD_UID, MESOS_TASK_ID, else host:pid
}

// Process is how the payload is started, contained and stopped.
type Process struct {
	Isolate string // auto|pidns|cgroup|none
	Stop    Stop
	End     End
	User    string   // UID[:GID], numeric or names of the local passwd file
	Command []string // argv after --
	DryRun  bool
}

// Storage is what the payload's data lies on.
type Storage struct {
	Data     string // directory of the payload's data; absolute
	StateDir string // of claim and state file; empty: chosen, see docs/configuration.md
	Mounts   []Mount
	Device   Device
	Probe    Probe
}

// Lock says which lock, and how to reach it.
type Lock struct {
	URL          string // zk:// etcd:// file://
	Wait         string // forever | 0 | duration; read it with WaitLimit
	User         string
	PasswordFile string
	TLS          TLS
	TokenEpoch   int
	ForeignPeers bool
}

// TLS names PEM files.
type TLS struct {
	CA   string
	Cert string
	Key  string
}

// Timing is the arithmetic of the lease, docs/protocol.md section 2.
type Timing struct {
	Hold       time.Duration
	Heartbeat  time.Duration
	TryTimeout time.Duration
	Tries      int
	Grace      time.Duration
	KillBudget time.Duration
	Margin     time.Duration
	Settle     time.Duration
	HoldMax    time.Duration // 0: not set by hand: 60s, or hold if larger
}

// Fence names this node to fence agents, and says how other nodes are fenced.
type Fence struct {
	Node           string
	RequireDrained bool
	Agent          string // path; empty: nobody is fenced
	OptionsFile    string
	Timeout        time.Duration
	Watchdog       string // device; empty: none
}

// Stop is an ordinary stop, heartbeats going on.
type Stop struct {
	Signal string // name without SIG, or none; read it with Number
	Grace  time.Duration
}

// End is what is done where the end does not come by itself.
type End struct {
	OnStuck     string        // wait|free|reboot
	RebootAfter time.Duration // of on_stuck: reboot
	OnUndrained string        // hold|release
}

// Mount is one mount that must be there, right and alive.
type Mount struct {
	Path      string
	FSType    string
	Source    string   // glob
	Opts      []string // required, or forbidden with a leading !
	Volume    string
	UUID      string
	FailAfter time.Duration // DefaultFailAfter unless told otherwise

	RecoverAfter time.Duration // DefaultRecoverAfter unless told otherwise
	Policy       []string      // FINDING:POLICY, what differs from the defaults
	Latency      time.Duration // 0: no bound
	MinFree      string        // bytes with a unit, as 10GiB
	MinInodes    int
}

// Probe is how mounts are asked whether they live.
type Probe struct {
	Period  time.Duration
	Timeout time.Duration // of each stage
}

// Hooks are commands around the payload's life.
type Hooks struct {
	PreStart  Hook
	PostStart Hook
	PreStop   Hook
	PostStop  Hook
}

// Hook is one command; it is killed after its timeout.
type Hook struct {
	Exec    []string
	Timeout time.Duration
}

// Health is what is seen from outside.
type Health struct {
	Listen     string // host:port or unix:PATH; empty: off
	ReasonFile string // empty: none; DefaultReasonFile is written, never created
}

// Log is how we write to stderr.
type Log struct {
	Format string // text | json; empty: text on a terminal, else json
	Level  string // debug|info|warn|error
}

// Orchestrator is the patience of what starts and stops us; 0: not known.
type Orchestrator struct {
	Grace       time.Duration // from TERM to KILL
	StartBudget time.Duration // from the start until it must be ready
}

// Budgets bound the phases after the hold-off (T7).
type Budgets struct {
	Mount time.Duration // mount check after the grant
	Claim time.Duration
	Drain time.Duration
}
