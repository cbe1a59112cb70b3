package config

import (
	"slices"
	"strings"
)

func (l *loader) verifyWarm() {
	w := l.cfg.Warm
	l.together("warm.user", w.User, "warm.password_file", w.PasswordFile)
	l.together("warm.tls.cert", w.TLS.Cert, "warm.tls.key", w.TLS.Key)
	for _, key := range []string{"warm.tls.cert", "warm.tls.name"} {
		if l.isSet(key) {
			l.needs(key, "warm.tls.ca", w.TLS.CA, "the authorities of the server, which turn TLS on")
		}
	}
	l.verifyWarmRing()
	for _, entry := range w.Also {
		if name, address, _ := strings.Cut(entry, "="); !l.bad["warm.also"] && (name == w.Ring.Self || address == w.Memcached) {
			l.problem(l.place("warm.also"), "found "+entry+", which is warm.memcached itself: expected another name and another address")
		}
	}
	for _, key := range []string{"warm.schedule", "warm.user", "warm.tls.ca", "warm.also"} {
		if l.isSet(key) && !l.standsAtDefault(key) {
			l.needs(key, "warm.memcached", w.Memcached, "the memcached that it is about")
		}
	}
	if w.Memcached == "" || l.bad["warm.memcached"] {
		return
	}
	if w.Schedule != "" || w.From != FromNone {
		l.needs("warm.memcached", "store.url", l.cfg.Store.URL, "where the dumps lie; or warm.from none without warm.schedule")
	}
	l.verifyWarmAlone()
	if w.Schedule != "" && !l.bad["warm.schedule"] && l.in.CheckSchedule != nil {
		if err := l.in.CheckSchedule(w.Schedule); err != nil {
			l.problem(l.place("warm.schedule"), err.Error())
		}
	}
	if w.Loads() && w.Ready != WhenWarm && !l.bad["warm.ready"] {
		l.warnings = append(l.warnings, l.place("warm.ready")+": clients are let in before the load has ended: an item that one of them deletes can come back with its old value; the load stops at the first delete that it sees")
	}
}

// verifyWarmAlone: a store holds dumps of a cache, or snapshots of data; a restore would take one for the other.
func (l *loader) verifyWarmAlone() {
	b := l.cfg.Backup
	for key, set := range map[string]bool{"restore.from": l.cfg.Restore.From == FromStore, "backup.schedule": b.Schedule != "", "backup.on_stop": b.OnStop} {
		if set && !l.bad[key] {
			l.problem(l.place(key), "found together with warm.memcached: the store holds either dumps of a cache or snapshots of data: remove one of the two")
		}
	}
}

func (l *loader) verifyWarmRing() {
	r := l.cfg.Warm.Ring
	if l.bad["warm.ring.kind"] || l.bad["warm.ring.nodes"] || l.bad["warm.ring.self"] {
		return
	}
	if r.Kind == "" {
		if len(r.Nodes) > 0 {
			l.problem(l.place("warm.ring.nodes"), "warm.ring.kind is missing: expected the clients' rule, or auto")
		}
		return
	}
	if l.in.CheckRing != nil {
		if err := l.in.CheckRing(r.Kind); err != nil {
			l.problem(l.place("warm.ring.kind"), err.Error())
		}
	}
	if len(r.Nodes) < 2 {
		l.problem(l.place("warm.ring.kind"), "warm.ring.nodes has fewer than two nodes: expected all that the clients know ("+l.everywhere("warm.ring.nodes")+")")
		return
	}
	l.oneOfNodes("warm.ring.self", r.Self)
	for _, entry := range l.cfg.Warm.Also {
		name, _, _ := strings.Cut(entry, "=")
		l.oneOfNodes("warm.also", name)
	}
}

func (l *loader) oneOfNodes(key, name string) {
	nodes := l.cfg.Warm.Ring.Nodes
	is := func(node string) bool { n, _, _ := strings.Cut(node, "="); return n == name }
	if name != "" && !l.bad[key] && !slices.ContainsFunc(nodes, is) {
		l.problem(l.place(key), mismatch(name, "one of warm.ring.nodes: "+strings.Join(nodes, ", ")))
	}
}
