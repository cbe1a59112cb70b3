package config

import (
	"strconv"
	"strings"
)

func warmFields() []Field {
	return []Field{
		{Key: "warm.memcached", Flag: "warm-memcached", Help: "the memcached that is filled before it is ready: HOST:PORT or the absolute path of its socket", Unset: "none: nothing is warmed", Example: `"127.0.0.1:11211"`,
			at: func(c *Config) any { return &c.Warm.Memcached }, check: cacheAddress},
		{Key: "warm.also", Flag: "warm-also", Help: "further memcacheds that the command starts, each a node of its own name with dumps of its own: NAME=HOST:PORT or NAME=SOCKET", Unset: "none", Example: `["cache1:11211=127.0.0.1:11212"]`,
			at: func(c *Config) any { return &c.Warm.Also }, check: instances},
		{Key: "warm.user", Flag: "warm-user", Help: "user at the memcached (ASCII authentication; a server that speaks only SASL cannot be dumped)", Example: "interlock",
			at: func(c *Config) any { return &c.Warm.User }, check: name},
		{Key: "warm.password_file", Flag: "warm-password-file", Help: "file with the password of warm.user", Example: "/run/secrets/memcached-password",
			at: func(c *Config) any { return &c.Warm.PasswordFile }, check: oneLine},
		{Key: "warm.tls.ca", Flag: "warm-ca", Help: "PEM file with the certificate authorities of the memcached; turns TLS on", Example: "/run/secrets/memcached/ca.crt",
			at: func(c *Config) any { return &c.Warm.TLS.CA }, check: oneLine},
		{Key: "warm.tls.cert", Flag: "warm-cert", Help: "PEM file with our client certificate", Example: "/run/secrets/memcached/tls.crt",
			at: func(c *Config) any { return &c.Warm.TLS.Cert }, check: oneLine},
		{Key: "warm.tls.key", Flag: "warm-key", Help: "PEM file with the key of our client certificate", Example: "/run/secrets/memcached/tls.key",
			at: func(c *Config) any { return &c.Warm.TLS.Key }, check: oneLine},
		{Key: "warm.tls.name", Flag: "warm-tls-name", Help: "the server's name in its certificate", Unset: "the host of warm.memcached", Example: "cache.example.org",
			at: func(c *Config) any { return &c.Warm.TLS.Name }, check: name},
		{Key: "warm.from", Flag: "warm-from", Help: "which dumps are loaded at a start: latest (of each node), the ID of one, the last ones not later than a time such as 2026-01-31T12:00:00Z, or none",
			at: func(c *Config) any { return &c.Warm.From }, check: warmFrom},
		{Key: "warm.schedule", Flag: "warm-schedule", Help: "when a run dumps the cache: as backup.schedule", Unset: "never", Example: `"*/30 * * * *"`,
			at: func(c *Config) any { return &c.Warm.Schedule }, check: oneLine},
		{Key: "warm.keep", Flag: "warm-keep", Help: "how many dumps of this node stay in the store; 0: all",
			at: func(c *Config) any { return &c.Warm.Keep }, check: between(0, maxKeep)},
		{Key: "warm.listing", Flag: "warm-listing", Help: "how a dump lists the keys: hash misses none, all may miss some of the hottest, auto takes hash where the server's version and the folder of the list allow it", Values: []string{"auto", "hash", "all"},
			at: func(c *Config) any { return &c.Warm.Listing }},
		{Key: "warm.order", Flag: "warm-order", Help: "in which order what fits is loaded: hottest-first is useful at every moment; coldest-first leaves the server with the best order of eviction, and is for a fresh server that nobody uses before all is loaded", Values: []string{ColdestFirst, HottestFirst},
			at: func(c *Config) any { return &c.Warm.Order }},
		{Key: "warm.budget.time", Flag: "warm-budget-time", Help: "how long one load or dump may take: what is not loaded or read by then is left out, the coldest",
			at: func(c *Config) any { return &c.Warm.Budget.Time }, check: positive},
		{Key: "warm.budget.bytes", Flag: "warm-budget-bytes", Help: "how much one load or dump may move at most, as the items take it in the server: a number, or one with KiB, MiB, GiB or TiB", Unset: "no limit but the server's memory", Example: "8GiB",
			at: func(c *Config) any { return &c.Warm.Budget.Bytes }, check: byteText},
		{Key: "warm.budget.rate", Flag: "warm-budget-rate", Help: "items a second; 0: 25000 for a dump, which also yields to the server's latency, and no limit for a load",
			at: func(c *Config) any { return &c.Warm.Budget.Rate }, check: between(0, maxRate)},
		{Key: "warm.ready", Flag: "warm-ready", Help: "when the service is called ready: when_warm, at_once, or once this part is loaded, such as 0.8 (with the last two a client's delete can be undone by the load, which stops at the first one that it sees)",
			at: func(c *Config) any { return &c.Warm.Ready }, check: readyText},
		{Key: "warm.if_cold", Flag: "warm-if-cold", Help: "what to do where there is no dump, or the load fails: be ready with what there is, or end the run", Values: []string{"ready", "stop"},
			at: func(c *Config) any { return &c.Warm.IfCold }},
		{Key: "warm.ring.kind", Flag: "warm-ring-kind", Help: "the rule by which clients find a node (docs/warm.md lists them), or auto: the one that fits what the nodes hold", Unset: "none: every item is ours", Example: "auto",
			at: func(c *Config) any { return &c.Warm.Ring.Kind }, check: name},
		{Key: "warm.ring.nodes", Flag: "warm-ring-nodes", Help: "the nodes, each as it stands in the clients' own list, in that order: NAME or NAME=WEIGHT", Unset: "none", Example: `["cache1:11211", "cache2:11211"]`,
			at: func(c *Config) any { return &c.Warm.Ring.Nodes }, check: nodeNames},
		{Key: "warm.ring.self", Flag: "warm-ring-self", Help: "our own name in that list", Unset: "none", Example: `"cache2:11211"`,
			at: func(c *Config) any { return &c.Warm.Ring.Self }, check: name},
		{Key: "warm.ring.stores", Flag: "warm-ring-stores", Help: "stores of the other nodes' dumps, which are only read; reached as store.url is", Unset: "none: all dumps lie in store.url", Example: `["s3://caches/cache1"]`,
			at: func(c *Config) any { return &c.Warm.Ring.Stores }, check: storeURLs},
		{Key: "warm.exec", Flag: "warm-exec", Help: "command that warms the service, after the load where there is one; bounded by warm.budget.time", Unset: "none", Example: "[/usr/local/bin/warm-urls]",
			at: func(c *Config) any { return &c.Warm.Exec }, check: argv},
	}
}

func cacheAddress(v any) string {
	s, _ := v.(string)
	switch {
	case s == "":
		return ""
	case strings.HasPrefix(s, "/"):
		if absolute(s) != "" || len(s) > 107 {
			return "an absolute path of at most 107 bytes"
		}
		return ""
	case listenAddress(s) != "" || strings.HasPrefix(s, "unix:") || strings.HasPrefix(s, ":") || strings.HasSuffix(s, ":0"):
		return "HOST:PORT, or the absolute path of a socket"
	}
	return ""
}

func instances(v any) string {
	list, _ := v.([]string)
	seen := map[string]bool{}
	for _, entry := range list {
		node, address, _ := strings.Cut(entry, "=")
		if node == "" || name(node) != "" || address == "" || cacheAddress(address) != "" || seen[node] || seen["="+address] {
			return "NAME=HOST:PORT or NAME=SOCKET for each, every name and address once"
		}
		seen[node], seen["="+address] = true, true
	}
	return ""
}

func warmFrom(v any) string {
	if v == FromNone {
		return ""
	}
	if expected := pointInTime(v); expected != "" {
		return "none, " + expected
	}
	return ""
}

func byteText(v any) string {
	s, _ := v.(string)
	if _, ok := byteCount(s); !ok {
		return "a number of bytes, such as 1073741824, 512MiB or 8GiB"
	}
	return ""
}

func readyText(v any) string {
	s, _ := v.(string)
	f, err := strconv.ParseFloat(s, 64)
	if s == WhenWarm || s == AtOnce || err == nil && f > 0 && f <= 1 {
		return ""
	}
	return "when_warm, at_once, or a fraction above 0 and up to 1, such as 0.8"
}

func nodeNames(v any) string {
	list, _ := v.([]string)
	seen := map[string]bool{}
	for _, entry := range list {
		node, weight, weighted := strings.Cut(entry, "=")
		n, err := strconv.ParseFloat(weight, 64)
		if node == "" || name(node) != "" || seen[node] || weighted && (err != nil || !(n > 0 && n <= maxWeight)) {
			return "the names of the nodes, each once and with =WEIGHT where it has one (above 0, up to 10000)"
		}
		seen[node] = true
	}
	return ""
}

func storeURLs(v any) string {
	list, _ := v.([]string)
	for _, s := range list {
		if expected := storeURL(s); expected != "" || s == "" {
			return "a list of stores, each " + storeURL("x")
		}
	}
	return ""
}
