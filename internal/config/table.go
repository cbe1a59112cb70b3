package config

import "slices"

func lockFields() []Field {
	return []Field{
		{Key: "lock.url", Flag: "lock", Help: "the lock: zk://h1,h2,h3/path, etcd://h1,h2,h3/name or file:///path", Unset: "none: it must be given", Example: "file:///var/lib/orders/lock",
			at: func(c *Config) any { return &c.Lock.URL }, check: lockURL},
		{Key: "lock.wait", Flag: "lock-wait", Help: "how long to wait for the lock: forever, 0 (one try) or a duration; never bounds the hold-off after the grant",
			at: func(c *Config) any { return &c.Lock.Wait }, check: waitText},
		{Key: "lock.user", Flag: "lock-user", Help: "user at the lock service", Example: "interlock",
			at: func(c *Config) any { return &c.Lock.User }, check: oneLine},
		{Key: "lock.password_file", Flag: "lock-password-file", Help: "file with the password of lock.user", Example: "/run/secrets/lock-password",
			at: func(c *Config) any { return &c.Lock.PasswordFile }, check: oneLine},
		{Key: "lock.tls.ca", Flag: "lock-ca", Help: "PEM file with the certificate authorities of the lock service; turns TLS on", Example: "/run/secrets/tls/ca.crt",
			at: func(c *Config) any { return &c.Lock.TLS.CA }, check: oneLine},
		{Key: "lock.tls.cert", Flag: "lock-cert", Help: "PEM file with our client certificate; turns TLS on", Example: "/run/secrets/tls/tls.crt",
			at: func(c *Config) any { return &c.Lock.TLS.Cert }, check: oneLine},
		{Key: "lock.tls.key", Flag: "lock-key", Help: "PEM file with the key of our client certificate", Example: "/run/secrets/tls/tls.key",
			at: func(c *Config) any { return &c.Lock.TLS.Key }, check: oneLine},
		{Key: "lock.token_epoch", Flag: "token-epoch", Help: "high bits of the fencing token, 0 to 255: count it up by one after the lock service was rebuilt",
			at: func(c *Config) any { return &c.Lock.TokenEpoch }, check: between(0, MaxTokenEpoch)},
		{Key: "lock.foreign_peers", Flag: "foreign-peers", Help: "contend with other programs on one path: etcdctl lock, Curator, kazoo; their holders do not die in time, see docs/locks.md",
			at: func(c *Config) any { return &c.Lock.ForeignPeers }},
	}
}

func timingFields() []Field {
	return []Field{
		{Key: "timing.hold", Flag: "hold", Help: "H: how long a successor waits after a holder's last heartbeat",
			at: func(c *Config) any { return &c.Timing.Hold }, check: positive},
		{Key: "timing.heartbeat", Flag: "heartbeat", Help: "R: period of heartbeats",
			at: func(c *Config) any { return &c.Timing.Heartbeat }, check: positive},
		{Key: "timing.try_timeout", Flag: "try-timeout", Help: "tau: bound of one try of a heartbeat",
			at: func(c *Config) any { return &c.Timing.TryTimeout }, check: positive},
		{Key: "timing.tries", Flag: "tries", Help: "n: tries of a heartbeat that fit before the kill",
			at: func(c *Config) any { return &c.Timing.Tries }, check: between(2, maxTries)},
		{Key: "timing.grace", Flag: "grace", Help: "G: time between TERM and KILL after the lock or a mount is lost",
			at: func(c *Config) any { return &c.Timing.Grace }, check: notNegative},
		{Key: "timing.kill_budget", Flag: "kill-budget", Help: "K: time for the kill and the proof of death",
			at: func(c *Config) any { return &c.Timing.KillBudget }, check: positive},
		{Key: "timing.margin", Flag: "margin", Help: "M: safety margin before the deadline",
			at: func(c *Config) any { return &c.Timing.Margin }, check: positive},
		{Key: "timing.settle", Flag: "settle", Help: "wait after a holder that died without draining its storage",
			at: func(c *Config) any { return &c.Timing.Settle }, check: notNegative},
		{Key: "timing.hold_max", Flag: "hold-max", Help: "largest hold in the fleet; raise it on every node before any hold above it", Unset: "60s, or hold if larger", Example: "60s",
			at: func(c *Config) any { return &c.Timing.HoldMax }, check: notNegative},
		{Key: "fence.node", Flag: "fence-node", Help: "this node's name, as fence agents know it", Unset: "NODE_NAME, else the host name", Example: "rack1-07",
			at: func(c *Config) any { return &c.Fence.Node }, check: name},
		{Key: "fence.require_drained", Flag: "require-drained", Help: "refuse to take over from a holder whose writes may still be in flight",
			at: func(c *Config) any { return &c.Fence.RequireDrained }},
		{Key: "fence.agent", Flag: "fence-agent", Help: "fence agent, or script with the same contract, that switches an earlier holder's node off in the hold-off, which a confirmed off ends", Unset: "none: the hold-off is waited out", Example: "/usr/sbin/fence_ipmilan",
			at: func(c *Config) any { return &c.Fence.Agent }, check: absoluteOrEmpty},
		{Key: "fence.options_file", Flag: "fence-options-file", Help: "file with that agent's options, KEY=VALUE lines and [NODE] sections; only its owner may write it, and not everybody read it", Unset: "none: the agent is told the action and the node's name", Example: "/etc/interlock/fence-options",
			at: func(c *Config) any { return &c.Fence.OptionsFile }, check: absoluteOrEmpty},
		{Key: "fence.timeout", Flag: "fence-timeout", Help: "time for the agent's off and status of one node, after which it is killed",
			at: func(c *Config) any { return &c.Fence.Timeout }, check: positive},
		{Key: "fence.watchdog", Flag: "fence-watchdog", Help: "watchdog device that resets this machine if the lease cannot be renewed and the payload is not proven dead in time", Unset: "none", Example: "/dev/watchdog",
			at: func(c *Config) any { return &c.Fence.Watchdog }, check: absoluteOrEmpty},
	}
}

func processFields() []Field {
	return []Field{
		{Key: "isolate", Flag: "isolate", Help: "how processes are contained so that all of them can be killed", Values: []string{"auto", "pidns", "cgroup", "none"},
			at: func(c *Config) any { return &c.Isolate }},
		{Key: "stop.signal", Flag: "stop-signal", Help: "signal of an ordinary stop: a name such as TERM, QUIT or RTMIN+3, or none where the sender signals every process itself",
			at: func(c *Config) any { return &c.Stop.Signal }, check: stopSignal},
		{Key: "stop.grace", Flag: "stop-grace", Help: "patience of an ordinary stop, heartbeats going on, before KILL",
			at: func(c *Config) any { return &c.Stop.Grace }, check: notNegative},
		{Key: "on_stuck", Flag: "on-stuck", Help: "what is done, once it has lasted for budgets.drain, about processes that KILL does not end and a sync that hangs: wait with the lock held and renewed; free: break the storage that keeps them (FUSE abort, umount with force, NBD disconnect), as far as privileges reach; reboot: free, then reset this machine (docs/mounts.md)", Values: []string{"wait", "free", "reboot"},
			at: func(c *Config) any { return &c.End.OnStuck }},
		{Key: "reboot_after", Flag: "reboot-after", Help: "how long it must have lasted before on_stuck: reboot resets this machine",
			at: func(c *Config) any { return &c.End.RebootAfter }, check: positive},
		{Key: "on_undrained", Flag: "on-undrained", Help: "storage that may still receive what the dead payload wrote, where waiting may help: hold the lock until it is drained, or release it after budgets.drain as dead, so that the successor waits settle", Values: []string{"hold", "release"},
			at: func(c *Config) any { return &c.End.OnUndrained }},
		{Key: "user", Flag: "user", Help: "UID[:GID] or NAME[:GROUP] to become before the command is executed", Unset: "the user that we run as", Example: `"999:999"`,
			at: func(c *Config) any { return &c.User }, check: userText},
		{Key: "dry_run", Flag: "dry-run", Help: "print what a run would do and touch nothing",
			at: func(c *Config) any { return &c.DryRun }},
		{Key: "holder", Flag: "holder", Help: "who we are, for other contenders and for people", Unset: "POD_NAME/POD_UID, else MESOS_TASK_ID, else host:pid", Example: "orders-0",
			at: func(c *Config) any { return &c.Holder }, check: name},
	}
}

func storageFields() []Field {
	return []Field{
		{Key: "data", Flag: "data", Help: "directory of the payload's data; it must exist", Unset: "none: nothing but the lock is guarded", Example: "/srv/db/data",
			at: func(c *Config) any { return &c.Data }, check: dataDir},
		{Key: "state_dir", Flag: "state-dir", Help: "directory of the claim file and the state file", Unset: ".interlock in the root of the mount that holds data, or beside data on a plain disk; in a Mesos task the sandbox if that place cannot be made (docs/mesos.md)", Example: "/srv/db/.interlock",
			at: func(c *Config) any { return &c.StateDir }, check: dataDir},
		{Key: "mounts", Flag: "mount", Help: "a mount that must be there, right and alive: " + mountForm + "; may be repeated", Unset: "the mount that holds data", Example: `[{path: /srv/db, fstype: nfs4, source: "filer*:/orders", opts: [hard, "!soft"], volume: orders-01, fail_after: 6s, recover_after: 6s, policy: ["full:alert", "slow:alert"], latency: 2s, min_free: 1GiB, min_inodes: 1000}]`,
			at: func(c *Config) any { return &c.Mounts }},
		{Key: "probe.period", Flag: "probe-period", Help: "time between two probes of a mount",
			at: func(c *Config) any { return &c.Probe.Period }, check: positive},
		{Key: "probe.timeout", Flag: "probe-timeout", Help: "bound of each stage of a probe",
			at: func(c *Config) any { return &c.Probe.Timeout }, check: positive},
		{Key: "budgets.mount", Flag: "budgets-mount", Help: "bound of the mount check after the grant",
			at: func(c *Config) any { return &c.Budgets.Mount }, check: positive},
		{Key: "budgets.claim", Flag: "budgets-claim", Help: "bound of writing the claim file",
			at: func(c *Config) any { return &c.Budgets.Claim }, check: positive},
		{Key: "budgets.drain", Flag: "budgets-drain", Help: "how long draining the storage may take before it is reported as overdue; the lock is kept until it ends",
			at: func(c *Config) any { return &c.Budgets.Drain }, check: positive},
	}
}

func hookFields() []Field {
	return slices.Concat(
		hook("pre_start", "command before the payload starts; its failure ends the run", func(c *Config) *Hook { return &c.Hooks.PreStart }),
		hook("post_start", "command after the payload has started", func(c *Config) *Hook { return &c.Hooks.PostStart }),
		hook("pre_stop", "command before an ordinary stop", func(c *Config) *Hook { return &c.Hooks.PreStop }),
		hook("post_stop", "command after the payload has ended, while the lock is still held", func(c *Config) *Hook { return &c.Hooks.PostStop }))
}

func hook(name, help string, at func(*Config) *Hook) []Field {
	key, flag := "hooks."+name, "hooks-"+dashed(name)
	return []Field{
		{Key: key + ".exec", Flag: flag + "-exec", Help: help, Unset: "none", Example: "[/etc/interlock/" + dashed(name) + "]",
			at: func(c *Config) any { return &at(c).Exec }, check: argv},
		{Key: key + ".timeout", Flag: flag + "-timeout", Help: "time after which that command is killed",
			at: func(c *Config) any { return &at(c).Timeout }, check: positive},
	}
}

func outsideFields() []Field {
	return []Field{
		{Key: "orchestrator.grace", Flag: "orchestrator-grace", Help: "what the orchestrator gives between its TERM and its KILL; a warning says if a stop may take longer", Unset: "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD in a Mesos task, else not known", Example: "60s",
			at: func(c *Config) any { return &c.Orchestrator.Grace }, check: notNegative},
		{Key: "orchestrator.start_budget", Flag: "start-budget", Help: "what the orchestrator allows from the start until it is ready; a warning says if a start may take longer", Unset: "not known", Example: "10m",
			at: func(c *Config) any { return &c.Orchestrator.StartBudget }, check: notNegative},
		{Key: "health.listen", Flag: "listen", Help: "where /livez, /readyz, /status and /metrics are served: HOST:PORT or unix:PATH", Unset: "off", Example: `"127.0.0.1:9909"`,
			at: func(c *Config) any { return &c.Health.Listen }, check: listenAddress},
		{Key: "health.reason_file", Flag: "reason-file", Help: "file that gets one line saying why the run ended; the default is written, never created", Unset: DefaultReasonFile + " where it exists, else " + SandboxReason + " in MESOS_SANDBOX, else none", Example: "/run/interlock/reason",
			at: func(c *Config) any { return &c.Health.ReasonFile }, check: absoluteOrEmpty},
		{Key: "log.format", Flag: "log-format", Help: "form of our log on stderr", Values: []string{"text", "json"}, Unset: "text on a terminal, else json", Example: "json",
			at: func(c *Config) any { return &c.Log.Format }},
		{Key: "log.level", Flag: "log-level", Help: "least level that is logged", Values: []string{"debug", "info", "warn", "error"},
			at: func(c *Config) any { return &c.Log.Level }},
	}
}
