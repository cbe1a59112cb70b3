package agent

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Check looks whether the agent can be used: it is there, and where it describes itself (action=metadata,
// as ClusterLabs agents do), it knows every option that is set, because it would ignore the others, and the
// options make it switch off another machine for each node. A script that describes nothing is believed; an
// agent that was not heard out is not. It returns the agent as it should be used.
func (a Agent) Check(ctx context.Context) (Agent, error) {
	if err := executable(a.Path); err != nil {
		return a, fmt.Errorf("fence agent: %w: expected the path of a fence agent, such as /usr/sbin/fence_ipmilan of Debian's fence-agents, or of a script", err)
	}
	takes, err := a.takes(ctx)
	if err != nil {
		return a, fmt.Errorf("fence agent: %s action=metadata: %w: expected a description of its options, or an exit status other than 0 where it has none", a.Path, err)
	}
	if takes == nil {
		return a, nil
	}
	for _, key := range a.Options.keys() {
		if !takes.knows(key) {
			return a, fmt.Errorf("fence options: %s does not know %q, which %s sets: it takes %s",
				a.Path, key, a.Options.path, strings.Join(slices.Sorted(maps.Keys(takes)), ", "))
		}
	}
	a.Options.port = takes.knows("port") || takes.knows("plug")
	if err := takes.distinct(a.Options); err != nil {
		return a, fmt.Errorf("fence options of %s: %w", a.Path, err)
	}
	return a, nil
}

// takes are the options that the agent says it has; nil if it describes nothing.
func (a Agent) takes(ctx context.Context) (described, error) {
	r, err := call(ctx, a.Path, "action=metadata\n", a.Env, &tail{answers: true})
	switch {
	case err != nil:
		return nil, err
	case r.code != 0 || !strings.Contains(r.tail, "<resource-agent"):
		return nil, nil
	}
	var about struct {
		Parameters []struct {
			Name     string `xml:"name,attr"`
			Required string `xml:"required,attr"`
		} `xml:"parameters>parameter"`
	}
	if err := xml.Unmarshal([]byte(r.tail), &about); err != nil {
		return nil, fmt.Errorf("not readable: %w", err)
	}
	names := described{}
	for _, p := range about.Parameters {
		names[p.Name] = p.Required == "1"
	}
	if slices.Contains(plugAnyway(), filepath.Base(a.Path)) {
		names["plug"] = true
	}
	return names, nil
}

// plugAnyway are agents that cannot do without the plug, though they describe it as one of those that can.
func plugAnyway() []string { return []string{"fence_powerman", "fence_vmware"} }
