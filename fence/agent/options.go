package agent

import (
	"cmp"
	"errors"
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
			case strings.ContainsRune(value, 0):
				return bad("a value without a NUL byte")
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
	own, listed := o.nodes[node]
	if len(o.nodes) > 0 && !listed {
		return "", fmt.Errorf("%s has no section [%s], and it has some for other nodes", o.path, node)
	}
	set := map[string]string{}
	if o.port {
		set["port"] = node
	}
	maps.Copy(set, o.all)
	maps.Copy(set, own)
	if _, plug := set["plug"]; plug {
		delete(set, "port") // the same thing under its newer name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "action=%s\nnodename=%s\n", action, node)
	for _, key := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s=%s\n", key, strings.ReplaceAll(set[key], nodeWord, node))
	}
	return b.String(), nil
}

// open are the options whose values may be seen.
func open(key string) bool {
	return slices.Contains([]string{"ip", "ipaddr", "ipport", "port", "plug", "verbose", "method", "lanplus", "ssl", "ssl_insecure", "debug", "switch"}, key)
}

// secrets are the values that nobody may see, longest first.
func (o Options) secrets() []string {
	var all []string
	for _, set := range append(slices.Collect(maps.Values(o.nodes)), o.all) {
		for key, value := range set {
			if !open(key) && len(value) > 2 {
				all = append(all, value)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// redact takes them out of what an agent said.
func (o Options) redact(text string) string {
	for _, s := range o.secrets() {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// namesNode tells whether the options say which node is meant, other than by `port`.
func (o Options) namesNode() bool {
	for _, value := range o.all {
		if strings.Contains(value, nodeWord) {
			return true
		}
	}
	return len(o.nodes) > 0
}

// keys are all that are set anywhere.
func (o Options) keys() []string {
	set := maps.Clone(o.all)
	for _, n := range o.nodes {
		maps.Copy(set, n)
	}
	return slices.Sorted(maps.Keys(set))
}

var errNoNode = errors.New("the agent does not demand a plug, so its device is one machine and each node needs its own options: a section [NODE] for each, or {node} in a value")
