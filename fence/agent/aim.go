package agent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A described agent is one that says what it takes: which options, and whether each is required.
type described map[string]bool

// demandsPlug tells whether one device of the agent has many machines, told apart by the plug.
func (d described) demandsPlug() bool { return d["plug"] || d["port"] }

// knows tells whether the agent has an option.
func (d described) knows(key string) bool {
	_, known := d[key]
	return known
}

// idle are options that choose no machine, whatever they are for a node.
var idle = map[string]bool{
	"username": true, "login": true, "password": true, "passwd": true, "password_script": true, "passwd_script": true,
	"identity_file": true, "debug": true, "debug_file": true, "verbose": true, "verbose_level": true, "delay": true,
}

// aim is what of the options makes the agent switch off this node and no other.
func (d described) aim(o Options, node string) map[string]string {
	set := o.set(node)
	maps.DeleteFunc(set, func(key, _ string) bool { return idle[key] })
	// An optional plug beside port_as_ip is nothing but another way to write the address.
	means := d.demandsPlug() || !d.knows("port_as_ip") || set["port_as_ip"] != ""
	for _, key := range []string{"plug", "port"} {
		if !means || !d.demandsPlug() && !o.sets(key) {
			delete(set, key)
		}
	}
	return set
}

// distinct refuses options with which two nodes are one machine to the agent: it would switch off the
// wrong one, and confirm it.
func (d described) distinct(o Options) error {
	nodes := slices.Sorted(maps.Keys(o.nodes))
	if len(nodes) == 0 && maps.Equal(d.aim(o, "one"), d.aim(o, "another")) {
		return errNoNode
	}
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			if maps.Equal(d.aim(o, a), d.aim(o, b)) {
				return fmt.Errorf("sections %s and %s mean one machine: give each node its own address or plug; a machine has one name", b, a)
			}
		}
	}
	return nil
}

var errNoNode = errors.New("they mean one machine whatever the node is called: each node needs its own options: a section [NODE] for each, or {node} in the plug or the address")
