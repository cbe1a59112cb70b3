package kubernetes

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// all containers of the pod, those that prepare it too.
func (e *example) all() []corev1.Container {
	return slices.Concat(e.pod().InitContainers, e.pod().Containers)
}

// images: each has a version, and interlock's is the same one wherever it is named.
func images(e *example) (found []string) {
	names := []string{}
	for _, c := range e.all() {
		names = append(names, c.Image)
	}
	if e.image != nil {
		names = append(names, e.image.from, e.image.copied)
		if e.container().Image != e.image.name {
			found = append(found, fmt.Sprintf("the container has the image %s, the Dockerfile makes %s", e.container().Image, e.image.name))
		}
	}
	for _, name := range names {
		_, tag, _ := strings.Cut(path.Base(name), ":")
		if tag == "" || tag == "latest" {
			found = append(found, name+" has no version")
		}
		if strings.Contains(name, "/interlock:") && name != interlockImage {
			found = append(found, fmt.Sprintf("%s: the others say %s", name, interlockImage))
		}
	}
	return found
}

// interlockImage is the same in all examples.
const interlockImage = "registry.example.com/interlock:1.0.0"

// binary: interlock lies where the container executes it: in the image, or brought by an init container
// into a volume that the payload cannot write to.
func binary(e *example) []string {
	file := e.argv()[0]
	if e.image != nil {
		if len(e.container().Command) > 0 || file != e.image.file || e.image.copied != interlockImage {
			return wrong("%s: expected the image's entrypoint, %s of %s", file, e.image.file, interlockImage)
		}
		return nil
	}
	m, rest := e.mountAt(file)
	if m == nil || rest != "interlock" || !m.ReadOnly {
		return wrong("%s lies on no read-only volume of its own", file)
	}
	if v := e.volume(m.Name); v == nil || v.EmptyDir == nil {
		return wrong("volume %s is no emptyDir", m.Name)
	}
	for _, c := range e.pod().InitContainers {
		into := slices.IndexFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool { return v.Name == m.Name && !v.ReadOnly })
		if c.Image == interlockImage && len(c.Command) == 0 && into >= 0 && slices.Equal(c.Args, []string{"install", c.VolumeMounts[into].MountPath}) {
			return nil
		}
	}
	return wrong("no init container of %s installs interlock into volume %s", interlockImage, m.Name)
}

// identity: the names that interlock takes for holder and node, each from the field that it means.
func identity(e *example) (found []string) {
	want := map[string]string{"POD_NAME": "metadata.name", "POD_UID": "metadata.uid", "NODE_NAME": "spec.nodeName"}
	got, seen := map[string]string{}, map[string]bool{}
	for _, v := range e.container().Env {
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil {
			got[v.Name] = v.ValueFrom.FieldRef.FieldPath
		}
		if seen[v.Name] || v.Name == "INTERLOCK_HOLDER" {
			found = append(found, v.Name+" is there twice, or sets the holder by hand")
		}
		seen[v.Name] = true
	}
	if !maps.Equal(got, want) {
		found = append(found, fmt.Sprintf("from the pod: %v: expected %v", got, want))
	}
	if len(e.container().EnvFrom) > 0 {
		found = append(found, "envFrom: variables that are not named here")
	}
	return found
}

// namespaces: interlock is PID 1 of a namespace of its own, and nobody but it starts or stops the payload.
func namespaces(e *example) (found []string) {
	p := e.pod()
	if p.HostPID || p.HostNetwork || p.HostIPC || p.ShareProcessNamespace != nil && *p.ShareProcessNamespace {
		found = append(found, "a namespace is shared")
	}
	for _, c := range e.all() {
		if c.Lifecycle != nil || c.RestartPolicy != nil || c.TTY || c.Stdin {
			found = append(found, c.Name+": a lifecycle hook (its time is the grace's), a sidecar or a terminal")
		}
		if c.TerminationMessagePath != "" && c.TerminationMessagePath != "/dev/termination-log" {
			found = append(found, c.Name+": the reason file is elsewhere")
		}
	}
	if p.RestartPolicy != "" && p.RestartPolicy != corev1.RestartPolicyAlways {
		found = append(found, "restartPolicy is not Always")
	}
	return found
}

// security: nothing that the payload does not need.
func security(e *example) (found []string) {
	p := e.pod()
	if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken {
		found = append(found, "a token of the service account is mounted")
	}
	if p.EnableServiceLinks == nil || *p.EnableServiceLinks {
		found = append(found, "enableServiceLinks: a Service called interlock would make variables like ours")
	}
	s := p.SecurityContext
	if s == nil || !is(s.RunAsNonRoot, true) || !number(s.RunAsUser) || !number(s.RunAsGroup) || !number(s.FSGroup) {
		found = append(found, "expected runAsNonRoot, and runAsUser, runAsGroup and fsGroup above 0")
	}
	if s == nil || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		found = append(found, "expected seccompProfile RuntimeDefault")
	}
	for _, c := range e.all() {
		if !confined(c.SecurityContext) {
			found = append(found, c.Name+": expected a read-only root, no escalation, no capability, and no other user")
		}
	}
	return found
}

func confined(s *corev1.SecurityContext) bool {
	return s != nil && is(s.ReadOnlyRootFilesystem, true) && is(s.AllowPrivilegeEscalation, false) &&
		s.Capabilities != nil && slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(s.Capabilities.Add) == 0 &&
		!is(s.Privileged, true) && s.RunAsUser == nil && s.RunAsNonRoot == nil && s.SeccompProfile == nil
}

func is(b *bool, want bool) bool { return b != nil && *b == want }
func number(n *int64) bool       { return n != nil && *n > 0 }

// resources: memory has a limit, equal to what is reserved, and so have volumes on the node.
func resources(e *example) (found []string) {
	for _, c := range e.all() {
		limit, request := c.Resources.Limits.Memory(), c.Resources.Requests.Memory()
		if limit.IsZero() || !limit.Equal(*request) || c.Resources.Requests.Cpu().IsZero() {
			found = append(found, fmt.Sprintf("%s: memory limit %v, request %v: expected both, equal, and a request of cpu", c.Name, limit, request))
		}
	}
	for _, v := range e.pod().Volumes {
		if v.EmptyDir != nil && (v.EmptyDir.SizeLimit == nil || v.EmptyDir.SizeLimit.IsZero()) {
			found = append(found, v.Name+": an emptyDir without sizeLimit")
		}
	}
	return found
}
