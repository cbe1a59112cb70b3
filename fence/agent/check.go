package agent

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Check looks whether the agent can be used: it is there, and where it describes itself (action=metadata,
// as ClusterLabs agents do), it knows every option that is set, because it would ignore the others, and can
// be told which node is meant, or it would switch off one machine for all. A script that describes nothing
// is believed. It returns the agent as it should be used.
func (a Agent) Check(ctx context.Context) (Agent, error) {
	if err := executable(a.Path); err != nil {
		return a, fmt.Errorf("fence agent: %w: expected the path of a fence agent, such as /usr/sbin/fence_ipmilan of Debian's fence-agents, or of a script", err)
	}
	takes := a.takes(ctx)
	if takes == nil {
		return a, nil
	}
	for _, key := range a.Options.keys() {
		if _, known := takes[key]; !known {
			return a, fmt.Errorf("fence options: %s does not know %q, which %s sets: it takes %s",
				a.Path, key, a.Options.path, strings.Join(slices.Sorted(maps.Keys(takes)), ", "))
		}
	}
	// An optional plug: the agent's device is one machine, whatever name it is given.
	_, port := takes["port"]
	_, plug := takes["plug"]
	a.Options.port = port || plug
	if !takes["port"] && !takes["plug"] && !a.Options.namesNode() {
		return a, fmt.Errorf("fence options of %s: %w", a.Path, errNoNode)
	}
	return a, nil
}

// takes lists the options that the agent says it has, and whether each is required; nil if it says nothing
// that can be read.
func (a Agent) takes(ctx context.Context) map[string]bool {
	r, err := call(ctx, a.Path, "action=metadata\n", a.Env, &tail{answers: true})
	if err != nil || r.code != 0 {
		return nil
	}
	var about struct {
		Parameters []struct {
			Name     string `xml:"name,attr"`
			Required string `xml:"required,attr"`
		} `xml:"parameters>parameter"`
	}
	if xml.Unmarshal([]byte(r.tail), &about) != nil {
		return nil
	}
	names := map[string]bool{}
	for _, p := range about.Parameters {
		names[p.Name] = p.Required == "1"
	}
	return names
}
