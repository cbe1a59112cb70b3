package citizen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// An app is a Marathon application: the fields of app.raml of its REST API, as far as an example may use
// them. Pointers tell what is absent from what is zero.
type app struct {
	appStart
	appAround
	ID                  string               `json:"id"`
	Instances           *int                 `json:"instances"`
	Labels              map[string]string    `json:"labels"`
	Constraints         [][]string           `json:"constraints"`
	HealthChecks        []healthCheck        `json:"healthChecks"`
	ReadinessChecks     []readinessCheck     `json:"readinessChecks"`
	TaskKillGrace       int                  `json:"taskKillGracePeriodSeconds"`
	UpgradeStrategy     *upgradeStrategy     `json:"upgradeStrategy"`
	UnreachableStrategy *unreachableStrategy `json:"unreachableStrategy"`
	KillSelection       string               `json:"killSelection"`
}

// appStart is what is started.
type appStart struct {
	Cmd       string            `json:"cmd"`
	Args      []string          `json:"args"`
	User      string            `json:"user"`
	Env       map[string]string `json:"env"`
	Container *container        `json:"container"`
	Fetch     []artifact        `json:"fetch"`
}

// appAround is with what, and when again.
type appAround struct {
	CPUs            float64          `json:"cpus"`
	Mem             float64          `json:"mem"`
	Disk            float64          `json:"disk"`
	Networks        []network        `json:"networks"`
	RequirePorts    bool             `json:"requirePorts"`
	PortDefinitions []portDefinition `json:"portDefinitions"`
	BackoffSeconds  int              `json:"backoffSeconds"`
	BackoffFactor   float64          `json:"backoffFactor"`
	MaxLaunchDelay  *int             `json:"maxLaunchDelaySeconds"`
	Roles           []string         `json:"acceptedResourceRoles"`
}

type healthCheck struct {
	Protocol    string `json:"protocol"`
	Path        string `json:"path"`
	PortIndex   *int   `json:"portIndex"`
	Port        int    `json:"port"`
	Grace       int    `json:"gracePeriodSeconds"`
	Interval    int    `json:"intervalSeconds"`
	Timeout     int    `json:"timeoutSeconds"`
	MaxFailures int    `json:"maxConsecutiveFailures"`
	Delay       int    `json:"delaySeconds"`
	Ignore1xx   bool   `json:"ignoreHttp1xx"`
	IPProtocol  string `json:"ipProtocol"`
}

type readinessCheck struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Path     string `json:"path"`
	PortName string `json:"portName"`
	Interval int    `json:"intervalSeconds"`
	Timeout  int    `json:"timeoutSeconds"`
	Codes    []int  `json:"httpStatusCodesForReady"`
	Preserve bool   `json:"preserveLastResponse"`
}

type upgradeStrategy struct {
	Healthy *float64 `json:"minimumHealthCapacity"`
	Over    *float64 `json:"maximumOverCapacity"`
}

type unreachableStrategy struct {
	Inactive *int `json:"inactiveAfterSeconds"`
	Expunge  *int `json:"expungeAfterSeconds"`
}

type container struct {
	Type    string `json:"type"`
	Docker  docker `json:"docker"`
	Volumes []struct {
		ContainerPath string `json:"containerPath"`
		HostPath      string `json:"hostPath"`
		Mode          string `json:"mode"`
	} `json:"volumes"`
}

type docker struct {
	Image     string `json:"image"`
	ForcePull bool   `json:"forcePullImage"`
}

type network struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
}

type portDefinition struct {
	Port     int               `json:"port"`
	Name     string            `json:"name"`
	Protocol string            `json:"protocol"`
	Labels   map[string]string `json:"labels"`
}

type artifact struct {
	URI        string `json:"uri"`
	Executable bool   `json:"executable"`
	Extract    bool   `json:"extract"`
	Cache      bool   `json:"cache"`
}

// decodeApp takes nothing that the types do not know, in the spelling that they know.
func decodeApp(text string) (app, error) {
	var a app
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return a, err
	}
	if dec.More() {
		return a, fmt.Errorf("something stands after the app")
	}
	var raw any
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&raw); err != nil {
		return a, err
	}
	return a, spelled("app", raw, reflect.TypeFor[app]())
}

// spelled compares keys exactly: encoding/json takes them in any case, Marathon does not.
func spelled(where string, raw any, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := raw.(type) {
	case []any:
		for i, e := range v {
			if err := spelled(fmt.Sprintf("%s[%d]", where, i), e, t.Elem()); err != nil {
				return err
			}
		}
	case map[string]any:
		if t.Kind() == reflect.Map {
			return nil
		}
		fields := fieldsOf(t)
		for key, e := range v {
			f, known := fields[key]
			if !known {
				return fmt.Errorf("%s: unknown field %q", where, key)
			}
			if err := spelled(where+"."+key, e, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("json"); name != "" {
			fields[name] = f.Type
		}
	}
	return fields
}

// port is the definition that an index or a name means.
func (a app) port(index int, name string) (portDefinition, bool) {
	if name != "" {
		index = slices.IndexFunc(a.PortDefinitions, func(p portDefinition) bool { return p.Name == name })
	}
	if index < 0 || index >= len(a.PortDefinitions) {
		return portDefinition{}, false
	}
	return a.PortDefinitions[index], true
}
