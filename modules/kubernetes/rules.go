package kubernetes

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A rule is something that the API's types do not hold.
type rule struct {
	name   string
	broken func(*example) []string // what is wrong; nothing when all is well
}

func rules() []rule {
	return []rule{
		{"config", config}, {"selectors", selectors}, {"services", services}, {"ports", ports}, {"disruption", disruption},
		{"update", update}, {"images", images}, {"binary", binary},
		{"probes", probes}, {"stop budget", stopBudget}, {"start budget", startBudget},
		{"storage", storage}, {"volumes", volumes}, {"secrets", secrets},
		{"identity", identity}, {"namespaces", namespaces}, {"security", security}, {"resources", resources},
	}
}

func wrong(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }

// config: interlock takes it, without a warning, and waits for the lock.
func config(e *example) []string {
	found := slices.Concat(e.effective.problems, e.effective.warnings)
	if wait := e.effective.text("lock.wait"); wait != "forever" {
		found = append(found, fmt.Sprintf("lock.wait is %s: each end with 75 makes the kubelet wait longer before the next start", wait))
	}
	return found
}

// selectors: all that select pods select exactly these.
func selectors(e *example) (found []string) {
	check := func(what string, labels map[string]string) {
		if len(labels) == 0 || !maps.Equal(labels, e.labels()) {
			found = append(found, fmt.Sprintf("%s selects %v, the pods have %v", what, labels, e.labels()))
		}
	}
	plain := func(what string, s *metav1.LabelSelector) {
		if s == nil || len(s.MatchExpressions) > 0 {
			found = append(found, what+": expected matchLabels alone")
			return
		}
		check(what, s.MatchLabels)
	}
	plain("StatefulSet", e.set.Spec.Selector)
	for _, s := range e.services {
		check("Service "+s.Name, s.Spec.Selector)
	}
	for _, b := range e.budgets {
		plain("PodDisruptionBudget "+b.Name, b.Spec.Selector)
	}
	for _, c := range e.pod().TopologySpreadConstraints {
		plain("topologySpreadConstraints", c.LabelSelector)
	}
	return found
}

// services: the StatefulSet's own is there and headless, none shows pods that wait, and all lead to a port
// of the payload.
func services(e *example) (found []string) {
	governed := false
	for _, s := range e.services {
		governed = governed || s.Name == e.set.Spec.ServiceName && s.Spec.ClusterIP == corev1.ClusterIPNone
		if s.Spec.PublishNotReadyAddresses {
			found = append(found, s.Name+" publishes pods that are not ready, that is contenders that wait")
		}
		if len(s.Spec.Ports) == 0 {
			found = append(found, s.Name+" has no port")
		}
		for _, p := range s.Spec.Ports {
			to := e.port(p.TargetPort.StrVal)
			if to == nil || to.Name == "interlock" || to.ContainerPort != p.Port {
				found = append(found, fmt.Sprintf("%s: targetPort %s is no port %d of the payload", s.Name, p.TargetPort.String(), p.Port))
			}
		}
	}
	if !governed {
		found = append(found, fmt.Sprintf("serviceName is %q: no headless Service here has that name", e.set.Spec.ServiceName))
	}
	return found
}

func (e *example) port(name string) *corev1.ContainerPort {
	for i, p := range e.container().Ports {
		if name != "" && p.Name == name {
			return &e.container().Ports[i]
		}
	}
	return nil
}

// disruption: there is one budget, it lets the ready pod go only by hand, and those that wait at any time.
func disruption(e *example) []string {
	if len(e.budgets) != 1 {
		return wrong("%d PodDisruptionBudgets: expected one", len(e.budgets))
	}
	b := e.budgets[0].Spec
	// One pod is ready at most, however many there are.
	keeps := b.MinAvailable != nil && b.MinAvailable.String() == "1" && b.MaxUnavailable == nil ||
		b.MaxUnavailable != nil && b.MaxUnavailable.String() == "0" && b.MinAvailable == nil && *e.set.Spec.Replicas == 1
	if !keeps {
		return wrong("minAvailable %v, maxUnavailable %v: the holder may be evicted unasked", b.MinAvailable, b.MaxUnavailable)
	}
	if b.UnhealthyPodEvictionPolicy == nil || *b.UnhealthyPodEvictionPolicy != "AlwaysAllow" {
		return wrong("unhealthyPodEvictionPolicy is not AlwaysAllow: a contender that waits may keep a node from being drained")
	}
	return nil
}

// update: with a second pod that is never ready while the first is, nothing may wait for all to be ready.
func update(e *example) (found []string) {
	s := e.set.Spec
	if s.Replicas == nil || *s.Replicas < 1 {
		return wrong("replicas is not given")
	}
	if s.PodManagementPolicy != "Parallel" {
		found = append(found, fmt.Sprintf("podManagementPolicy %q: expected Parallel", s.PodManagementPolicy))
	}
	want := "OnDelete"
	if *s.Replicas == 1 {
		want = "RollingUpdate"
	}
	if string(s.UpdateStrategy.Type) != want {
		found = append(found, fmt.Sprintf("updateStrategy %q with %d replicas: expected %s", s.UpdateStrategy.Type, *s.Replicas, want))
	}
	if s.MinReadySeconds != 0 || e.set.Namespace != "" {
		found = append(found, "minReadySeconds or a namespace is given")
	}
	return found
}
