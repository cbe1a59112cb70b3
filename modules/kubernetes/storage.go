package kubernetes

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// mountAt is the mount of the container that holds a path, and the rest of the path in it.
func (e *example) mountAt(path string) (*corev1.VolumeMount, string) {
	var at *corev1.VolumeMount
	for i, m := range e.container().VolumeMounts {
		if (path == m.MountPath || strings.HasPrefix(path, m.MountPath+"/")) && (at == nil || len(m.MountPath) > len(at.MountPath)) {
			at = &e.container().VolumeMounts[i]
		}
	}
	if at == nil {
		return nil, ""
	}
	return at, strings.TrimPrefix(strings.TrimPrefix(path, at.MountPath), "/")
}

// storage: what interlock guards is what is mounted: each claim is named as a mount, data and state lie on
// it, and nobody reaches it past interlock.
func storage(e *example) (found []string) {
	guarded := map[string]bool{}
	mounts, _ := e.effective.values["mounts"].([]any)
	for _, entry := range mounts {
		fields, _ := entry.(map[string]any)
		path, _ := fields["path"].(string)
		m, rest := e.mountAt(path)
		if m == nil || rest != "" || m.ReadOnly || m.SubPath != "" || !e.claims(m.Name) {
			found = append(found, fmt.Sprintf("mounts: %s is no claim that is mounted there whole, to be written to", path))
			continue
		}
		guarded[m.Name] = true
	}
	for _, key := range []string{"data", "state_dir"} {
		m, _ := e.mountAt(e.effective.text(key))
		if e.effective.given(key) && (m == nil || !guarded[m.Name]) {
			found = append(found, fmt.Sprintf("%s: %s lies on no mount that interlock guards", key, e.effective.text(key)))
		}
	}
	for _, c := range e.set.Spec.VolumeClaimTemplates {
		if !guarded[c.Name] || !e.effective.given("data") {
			found = append(found, fmt.Sprintf("claim %s: interlock does not guard it, or no data", c.Name))
		}
	}
	for _, c := range e.pod().InitContainers {
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return e.claims(m.Name) }) {
			found = append(found, fmt.Sprintf("%s reaches the data without the lock", c.Name))
		}
	}
	return append(found, e.keptClaims()...)
}

// keptClaims: claims outlive the set, and PostgreSQL's directory keeps its mode.
func (e *example) keptClaims() []string {
	if len(e.set.Spec.VolumeClaimTemplates) == 0 {
		return nil
	}
	if p := e.set.Spec.PersistentVolumeClaimRetentionPolicy; p == nil || p.WhenDeleted != "Retain" || p.WhenScaled != "Retain" {
		return wrong("expected claims to be retained")
	}
	if s := e.pod().SecurityContext; s == nil || s.FSGroupChangePolicy == nil || *s.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch {
		return wrong("fsGroupChangePolicy: the group would get access to all data at each start")
	}
	return nil
}

// volumes: each mount has a volume, each volume a mount.
func volumes(e *example) (found []string) {
	used := map[string]bool{}
	for _, c := range e.all() {
		at := map[string]bool{}
		for _, m := range c.VolumeMounts {
			if e.volume(m.Name) == nil && !e.claims(m.Name) || at[m.MountPath] {
				found = append(found, fmt.Sprintf("%s: no volume %s, or a second one at %s", c.Name, m.Name, m.MountPath))
			}
			used[m.Name], at[m.MountPath] = true, true
		}
	}
	for _, v := range e.pod().Volumes {
		if !used[v.Name] || e.claims(v.Name) {
			found = append(found, "volume "+v.Name+" is mounted nowhere, or is a claim too")
		}
	}
	return found
}

// secrets: every file with a secret comes out of a Secret, and only the pod's own group may read it.
func secrets(e *example) (found []string) {
	files := map[string]string{}
	for _, key := range []string{"lock.password_file", "lock.tls.ca", "lock.tls.cert", "lock.tls.key"} {
		if e.effective.given(key) {
			files[key] = e.effective.text(key)
		}
	}
	if !e.effective.given("lock.password_file") || !e.effective.given("lock.user") {
		found = append(found, "no credentials for the lock")
	}
	for _, v := range e.container().Env {
		if strings.HasSuffix(v.Name, "_PASSWORD_FILE") {
			files[v.Name] = v.Value
		}
		if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil || strings.HasSuffix(v.Name, "PASSWORD") {
			found = append(found, v.Name+" is a secret in the environment: the payload would get it")
		}
	}
	for what, path := range files {
		if !e.secretFile(path) {
			found = append(found, fmt.Sprintf("%s: %s is no file of a mounted Secret with mode 0440", what, path))
		}
	}
	return found
}

func (e *example) secretFile(path string) bool {
	m, rest := e.mountAt(path)
	if m == nil || !m.ReadOnly {
		return false
	}
	v := e.volume(m.Name)
	if v == nil || v.Secret == nil || v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o440 {
		return false
	}
	return slices.ContainsFunc(v.Secret.Items, func(k corev1.KeyToPath) bool { return k.Path == rest && k.Key != "" && k.Mode == nil })
}
