package config

func storeFields() []Field {
	return []Field{
		{Key: "store.url", Flag: "store", Help: "where snapshots lie: s3://BUCKET/PREFIX or file:///DIR", Unset: "none", Example: "s3://backups/orders",
			at: func(c *Config) any { return &c.Store.URL }, check: storeURL},
		{Key: "store.endpoint", Flag: "store-endpoint", Help: "the S3 server: http(s)://HOST[:PORT]", Unset: "Amazon's own", Example: "https://s3.example.org:9000",
			at: func(c *Config) any { return &c.Store.Endpoint }, check: endpoint},
		{Key: "store.region", Flag: "store-region", Help: "the S3 region", Unset: "AWS_REGION, AWS_DEFAULT_REGION, else asked of the server", Example: "eu-central-1",
			at: func(c *Config) any { return &c.Store.Region }, check: name},
		{Key: "store.path_style", Flag: "store-path-style", Help: "put the bucket into the path instead of the host name, as most S3 servers other than Amazon's want it",
			at: func(c *Config) any { return &c.Store.PathStyle }},
		{Key: "store.ca", Flag: "store-ca", Help: "PEM file with the certificate authorities of the S3 server", Unset: "the system's", Example: "/run/secrets/s3/ca.crt",
			at: func(c *Config) any { return &c.Store.CA }, check: oneLine},
		{Key: "store.credentials_file", Flag: "store-credentials-file", Help: "file with the S3 keys, in AWS's format", Unset: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else AWS's own files, else the machine's role", Example: "/run/secrets/s3/credentials",
			at: func(c *Config) any { return &c.Store.CredentialsFile }, check: oneLine},
		{Key: "store.profile", Flag: "store-profile", Help: "section of that file", Unset: "AWS_PROFILE, else default", Example: "backup",
			at: func(c *Config) any { return &c.Store.Profile }, check: name},
		{Key: "store.identity_file", Flag: "store-identity-file", Help: "file with the age identities that decrypt an encrypted repository; a backup needs none", Unset: "none", Example: "/run/secrets/age/identity",
			at: func(c *Config) any { return &c.Store.IdentityFile }, check: oneLine},
	}
}

func restoreFields() []Field {
	return []Field{
		{Key: "restore.from", Flag: "restore-from", Help: "what fills the data directory: the command of restore.exec, or the store's snapshots", Values: []string{"exec", FromStore},
			at: func(c *Config) any { return &c.Restore.From }},
		{Key: "restore.exec", Flag: "restore-exec", Help: "command that fills the data directory; with restore.from store the one that a dump is piped to", Unset: "none", Example: `[/usr/local/bin/restore, --latest]`,
			at: func(c *Config) any { return &c.Restore.Exec }, check: argv},
		{Key: "restore.when", Flag: "restore-when", Help: "when to restore: while the data directory is empty, at every start (exec only), or never", Values: []string{"empty", "always", "never"},
			at: func(c *Config) any { return &c.Restore.When }},
		{Key: "restore.on_empty", Flag: "restore-on-empty", Help: "what to do where neither the data directory nor the store holds anything: stop, or start empty (a first start)", Values: []string{"stop", "start"},
			at: func(c *Config) any { return &c.Restore.OnEmpty }},
		{Key: "restore.diverged", Flag: "restore-diverged", Help: "what to do with data that is ours while a later holder has published snapshots: stop, move it aside and restore, or restore over it", Values: []string{"stop", "keep-copy", "replace"},
			at: func(c *Config) any { return &c.Restore.Diverged }},
		{Key: "restore.at", Flag: "restore-at", Help: "which snapshot to restore: latest, an ID (to `interlock restore` also the beginning of one), or the last one not later than a time such as 2026-01-31T12:00:00Z",
			at: func(c *Config) any { return &c.Restore.At }, check: pointInTime},
		{Key: "restore.timeout", Flag: "restore-timeout", Help: "bound of the restore",
			at: func(c *Config) any { return &c.Restore.Timeout }, check: positive},
	}
}

func backupFields() []Field {
	return []Field{
		{Key: "backup.mode", Flag: "backup-mode", Help: "how a copy is made consistent: a command's output, a freeze command held during the copy, the service stopped, a reflink under the freeze, or not at all (live)", Values: []string{ModeCommand, "hook", "cold", "reflink", "live"}, Unset: "command with backup.preset or backup.exec, else none", Example: "command",
			at: func(c *Config) any { return &c.Backup.Mode }},
		{Key: "backup.preset", Flag: "backup-preset", Help: "which program's dump is taken, by which command, and how its success is told", Values: presets(), Unset: "none", Example: "mariadb-backup",
			at: func(c *Config) any { return &c.Backup.Preset }},
		{Key: "backup.exec", Flag: "backup-exec", Help: "command whose standard output is the snapshot (mode command); with a preset further arguments of its command", Unset: "none", Example: "[--defaults-extra-file=/etc/mysql/backup.cnf]",
			at: func(c *Config) any { return &c.Backup.Exec }, check: argv},
		{Key: "backup.freeze", Flag: "backup-freeze", Help: "command that freezes the service, and holds it frozen until it is told to thaw (modes hook and reflink)", Unset: "none", Example: "[]",
			at: func(c *Config) any { return &c.Backup.Freeze }, check: argv},
		{Key: "backup.schedule", Flag: "backup-schedule", Help: "when a run takes backups: a cron expression of five fields (the host's time zone), @hourly, @daily, @weekly, @monthly, or an interval such as 15m", Unset: "never", Example: `"15 * * * *"`,
			at: func(c *Config) any { return &c.Backup.Schedule }, check: oneLine},
		{Key: "backup.spread", Flag: "backup-spread", Help: "delay each scheduled backup by a part of this that is always the same for the same lock, so that a fleet with one schedule does not begin at once", Unset: "none", Example: "10m",
			at: func(c *Config) any { return &c.Backup.Spread }, check: notNegative},
		{Key: "backup.on_stop", Flag: "backup-on-stop", Help: "take one more backup at an ordinary stop, while the lock is held: a copy of the files that the stopped service left, whatever the mode",
			at: func(c *Config) any { return &c.Backup.OnStop }},
		{Key: "backup.timeout", Flag: "backup-timeout", Help: "bound of one backup",
			at: func(c *Config) any { return &c.Backup.Timeout }, check: positive},
		{Key: "backup.exclude", Flag: "backup-exclude", Help: "patterns of paths below data that are left out", Unset: "none", Example: `["*.pid", "tmp/*"]`,
			at: func(c *Config) any { return &c.Backup.Exclude }, check: patterns},
		{Key: "backup.allow_shrink", Flag: "backup-allow-shrink", Help: "publish also what has less than half of the files or bytes of the snapshot before",
			at: func(c *Config) any { return &c.Backup.AllowShrink }},
		{Key: "backup.user", Flag: "backup-user", Help: "UID[:GID] or NAME[:GROUP] under which the backup's commands run", Unset: "the user that we run as", Example: `"999:999"`,
			at: func(c *Config) any { return &c.Backup.User }, check: userText},
	}
}

func presets() []string {
	return []string{"mariadb-dump", "mariadb-backup", "postgres-dump", "postgres-basebackup", "redis-rdb"}
}

func keepFields() []Field {
	keep := func(name, help string, at func(*Keep) *int) Field {
		return Field{Key: "backup.keep." + name, Flag: "backup-keep-" + name, Help: help,
			at: func(c *Config) any { return at(&c.Backup.Keep) }, check: between(0, maxKeep)}
	}
	return []Field{
		keep("last", "how many of the last snapshots to keep; nothing is removed while all of backup.keep is 0", func(k *Keep) *int { return &k.Last }),
		keep("hourly", "of how many hours that have snapshots to keep the last one", func(k *Keep) *int { return &k.Hourly }),
		keep("daily", "of how many days (UTC) to keep the last one", func(k *Keep) *int { return &k.Daily }),
		keep("weekly", "of how many weeks (from Monday, UTC) to keep the last one", func(k *Keep) *int { return &k.Weekly }),
		keep("monthly", "of how many months to keep the last one", func(k *Keep) *int { return &k.Monthly }),
	}
}
