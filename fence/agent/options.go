package agent

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Options are what the agent is told besides action and node: for all nodes, and for each by its name.
type Options struct {
	path  string
	all   map[string]string
	nodes map[string]map[string]string
	port  bool // the node's name is sent as `port`
}

// optionsLimit is far more than any agent takes.
const optionsLimit = 256 << 10

// nodeWord in a value stands for the node's name.
const nodeWord = "{node}"

// ReadOptions reads a file of KEY=VALUE lines: those before the first [NODE] line for every node, those
// after it for that node alone. {node} in a value becomes the node's name. The file may hold passwords:
// one that others than its owner can write, or everybody can read, is refused.
func ReadOptions(path string) (Options, error) {
	o := Options{path: path, all: map[string]string{}, nodes: map[string]map[string]string{}, port: true}
	if path == "" {
		return o, nil
	}
	data, err := readPrivate(path)
	if err != nil {
		return o, fmt.Errorf("fence options: %w", err)
	}
	return o, o.parse(data)
}

func readPrivate(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not keep us
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&0o026 != 0:
		return "", fmt.Errorf("%s has mode %04o: expected a file that others can neither write nor all read: chmod 600 it (a Kubernetes secret: defaultMode 0400)", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, optionsLimit+1))
	if err == nil && len(data) > optionsLimit {
		err = fmt.Errorf("%s is larger than %d bytes", path, optionsLimit)
	}
	return string(data), err
}

func (o *Options) parse(data string) error {
	into := o.all
	for i, line := range strings.Split(data, "\n") {
		line = strings.TrimSpace(line)
		bad := func(expected string) error { // without the line itself: it may hold a password
			return fmt.Errorf("fence options: %s line %d: expected %s", o.path, i+1, expected)
		}
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			node := strings.TrimSuffix(line[1:], "]")
			if node == "" || node == line[1:] || o.nodes[node] != nil {
				return bad("[NODE], each node once")
			}
			into = map[string]string{}
			o.nodes[node] = into
		default:
			key, value, ok := strings.Cut(line, "=")
			_, twice := into[key]
			switch {
			case !ok || !plain(key):
				return bad("KEY=VALUE, # and a comment, or [NODE]")
			case twice:
				return bad(key + " once")
			case key == "action" || key == "option" || key == "nodename":
				return bad("no " + key + ": that is set for each call")
			case key == "missing_as_off":
				return bad("no " + key + ": a node that the agent does not know is not off")
			case strings.ContainsAny(value, "\x00\r"): // an agent reads the latter as the end of a line
				return bad("a value without a NUL byte or a carriage return")
			}
			into[key] = value
		}
	}
	return nil
}

// plain tells whether a key is one word as agents have them.
func plain(key string) bool {
	return key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// input is what the agent reads for one call. An agent that is told of nodes one by one knows no other.
func (o Options) input(action, node string) (string, error) {
	if node == "" || strings.ContainsFunc(node, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("node %q is no name that a fence agent could be told", node)
	}
	if len(o.nodes) > 0 && o.nodes[node] == nil {
		return "", fmt.Errorf("%s has no section [%s], and it has some for other nodes", o.path, node)
	}
	set := o.set(node)
	var b strings.Builder
	fmt.Fprintf(&b, "action=%s\nnodename=%s\n", action, node)
	for _, key := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s=%s\n", key, set[key])
	}
	return b.String(), nil
}

// set are the options of one node.
func (o Options) set(node string) map[string]string {
	set := map[string]string{}
	if o.port {
		set["port"] = node
	}
	maps.Copy(set, o.all)
	maps.Copy(set, o.nodes[node])
	if _, plug := set["plug"]; plug {
		delete(set, "port") // the same thing under its newer name
	}
	for key, value := range set {
		set[key] = strings.ReplaceAll(value, nodeWord, node)
	}
	return set
}

// sets tells whether the file sets an option, for whatever node.
func (o Options) sets(key string) bool { return slices.Contains(o.keys(), key) }

// open are the options whose values may be seen.
func open(key string) bool {
	return slices.Contains([]string{"ip", "ipaddr", "ipport", "port", "plug", "verbose", "method", "lanplus", "ssl", "ssl_insecure", "debug", "switch"}, key)
}

// secrets are the values that nobody may see, as they are in the file and as the agent got them for node,
// longest first.
func (o Options) secrets(node string) []string {
	var all []string
	for _, set := range append(slices.Collect(maps.Values(o.nodes)), o.all) {
		for key, value := range set {
			if !open(key) && len(value) > 2 {
				all = append(all, value, strings.ReplaceAll(value, nodeWord, node))
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// redact takes them out of what an agent said.
func (o Options) redact(text, node string) string {
	for _, s := range o.secrets(node) {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// keys are all that are set anywhere.
func (o Options) keys() []string {
	set := maps.Clone(o.all)
	for _, n := range o.nodes {
		maps.Copy(set, n)
	}
	return slices.Sorted(maps.Keys(set))
}
