package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// effective is the configuration that interlock itself says it would run with.
type effective struct {
	values   map[string]any
	warnings []string
	problems []string
}

// ask runs check-config on the example's own command line, variables and file.
func (e *example) ask(binary, dir string) error {
	argv := e.argv()
	split := slices.Index(argv, "--")
	if len(argv) < 3 || path.Base(argv[0]) != "interlock" || argv[1] != "run" || split < 0 || split == len(argv)-1 {
		return fmt.Errorf("the container executes %q: expected …/interlock run … -- COMMAND", argv)
	}
	args := append([]string{"check-config", "--json"}, argv[2:]...)
	env, err := e.environment()
	if err != nil {
		return err
	}
	// The file lies elsewhere here than in the pod.
	if i := slices.Index(args, "--config") + 1; i > 0 {
		if args[i], err = e.place(args[i], dir); err != nil {
			return err
		}
	}
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Dir = env, dir
	out, err := cmd.Output()
	var doc struct {
		Values []struct {
			Key   string
			Value any
		}
		Warnings []string
		Findings []struct{ Topic, What string }
		Errors   []any
	}
	if jerr := json.Unmarshal(out, &doc); jerr != nil {
		return fmt.Errorf("interlock check-config: %w: %q, %w", err, out, jerr)
	}
	e.effective = effective{values: map[string]any{}, warnings: doc.Warnings}
	for _, v := range doc.Values {
		e.effective.values[v.Key] = v.Value
	}
	for _, f := range doc.Findings {
		e.effective.warnings = append(e.effective.warnings, f.Topic+": "+f.What)
	}
	for _, p := range doc.Errors {
		e.effective.problems = append(e.effective.problems, fmt.Sprint(p))
	}
	return nil
}

// environment is the container's; what comes from the pod is made up.
func (e *example) environment() ([]string, error) {
	var env []string
	for _, v := range e.container().Env {
		value := v.Value
		if v.ValueFrom != nil {
			value = "from-the-pod"
		}
		if v.Name == "INTERLOCK_CONFIG" {
			return nil, fmt.Errorf("INTERLOCK_CONFIG: expected --config, which is put in another place here")
		}
		env = append(env, v.Name+"="+value)
	}
	return env, nil
}

// place writes the file that a ConfigMap has in the pod.
func (e *example) place(name, dir string) (string, error) {
	m, rest := e.mountAt(name)
	if m == nil {
		return "", fmt.Errorf("--config %s: no volume is mounted there", name)
	}
	v := e.volume(m.Name)
	if v == nil || v.ConfigMap == nil || len(v.ConfigMap.Items) > 0 {
		return "", fmt.Errorf("--config %s: volume %s is no whole ConfigMap", name, m.Name)
	}
	for _, c := range e.configs {
		if text, has := c.Data[rest]; has && c.Name == v.ConfigMap.Name {
			file := filepath.Join(dir, "interlock.yaml")
			return file, os.WriteFile(file, []byte(text), 0o600)
		}
	}
	return "", fmt.Errorf("--config %s: ConfigMap %s has no key %s", name, v.ConfigMap.Name, rest)
}

func (e effective) text(key string) string { return fmt.Sprint(e.values[key]) }

func (e effective) given(key string) bool {
	switch v := e.values[key].(type) {
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	}
	return false
}

// span is a duration; one that is not there breaks every sum that it is in.
func (e effective) span(key string) time.Duration {
	d, err := time.ParseDuration(e.text(key))
	if err != nil {
		return 1 << 60
	}
	return d
}

func (e effective) sum(keys ...string) (d time.Duration) {
	for _, k := range keys {
		d += e.span(k)
	}
	return d
}

// script is the timeout of a script that is configured.
func (e effective) script(name string) time.Duration {
	if !e.given(name + ".exec") {
		return 0
	}
	return e.span(name + ".timeout")
}
