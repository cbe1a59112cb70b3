package kubernetes

import (
	"fmt"
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// ports: what the probes name is opened by interlock, and by it alone.
func ports(e *example) []string {
	listen := e.effective.text("health.listen")
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "" && !net.ParseIP(host).IsUnspecified() {
		return wrong("listen is %q: the kubelet asks the pod's address", listen)
	}
	p := e.port("interlock")
	if p == nil || strconv.Itoa(int(p.ContainerPort)) != port {
		return wrong("listen is %q: expected the container's port called interlock", listen)
	}
	seen := map[int32]bool{}
	for _, p := range e.container().Ports {
		if seen[p.ContainerPort] || p.HostPort != 0 {
			return wrong("port %d is there twice, or the host's", p.ContainerPort)
		}
		seen[p.ContainerPort] = true
	}
	return nil
}

// probes: alive is that interlock turns, ready is that it serves. Started is ready where nobody else holds
// the lock for long, and alive where a second pod waits on purpose.
func probes(e *example) (found []string) {
	c := e.container()
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
		path  string
	}{{"startupProbe", c.StartupProbe, e.startedPath()}, {"livenessProbe", c.LivenessProbe, "/livez"}, {"readinessProbe", c.ReadinessProbe, "/readyz"}} {
		if p.probe == nil || p.probe.HTTPGet == nil {
			found = append(found, p.name+": expected httpGet (exec would start the whole binary each time)")
			continue
		}
		get := p.probe.HTTPGet
		if get.Path != p.path || get.Port.StrVal != "interlock" || get.Host != "" || get.Scheme != "" && get.Scheme != corev1.URISchemeHTTP {
			found = append(found, fmt.Sprintf("%s asks %s of port %s: expected %s of interlock", p.name, get.Path, get.Port.String(), p.path))
		}
		if p.probe.PeriodSeconds < 1 || p.probe.TimeoutSeconds < 5 {
			found = append(found, p.name+": expected a period, and a timeout of 5 s or more")
		}
	}
	if l := c.LivenessProbe; l != nil && patience(l) < 30*time.Second {
		found = append(found, fmt.Sprintf("livenessProbe gives up after %v: expected 30s or more", patience(l)))
	}
	return found
}

func (e *example) startedPath() string {
	if r := e.set.Spec.Replicas; r != nil && *r > 1 {
		return "/livez"
	}
	return "/readyz"
}

func patience(p *corev1.Probe) time.Duration {
	failures := p.FailureThreshold
	if failures == 0 {
		failures = 3
	}
	return time.Duration(p.PeriodSeconds*failures) * time.Second
}

// stopBudget: the kubelet waits for longer than a stop may take, and interlock knows for how long.
func stopBudget(e *example) []string {
	v, grace := e.effective, 30*time.Second
	if s := e.pod().TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	tries, err := strconv.Atoi(v.text("timing.tries"))
	if err != nil {
		return wrong("timing.tries: %v", err)
	}
	need := v.script("hooks.pre_stop") + v.sum("stop.grace", "timing.grace", "timing.kill_budget") + v.script("hooks.post_stop") +
		v.sum("budgets.drain") + time.Duration(tries)*v.span("timing.try_timeout")
	if grace <= need {
		return wrong("terminationGracePeriodSeconds is %v: a stop may take %v", grace, need)
	}
	if told := v.span("orchestrator.grace"); told != grace {
		return wrong("orchestrator.grace is %v, terminationGracePeriodSeconds %v", told, grace)
	}
	return nil
}

// defaultHoldMax is the longest wait that a record of the fleet may demand, where hold_max is not set.
const defaultHoldMax = time.Minute

// startBudget: what the startup probe allows is more than a start after a crash of the holder before.
func startBudget(e *example) []string {
	p := e.container().StartupProbe
	if p == nil {
		return wrong("no startupProbe")
	}
	v, budget := e.effective, patience(p)
	if e.startedPath() == "/livez" {
		if told := v.span("orchestrator.start_budget"); told != 0 || budget < 30*time.Second {
			return wrong("start_budget %v, startupProbe %v: expected none, which waits for no lock, and 30s or more", told, budget)
		}
		return nil
	}
	tries, err := strconv.Atoi(v.text("timing.tries"))
	if err != nil {
		return wrong("timing.tries: %v", err)
	}
	longest := v.span("timing.hold_max")
	if longest == 0 {
		longest = max(defaultHoldMax, v.span("timing.hold"))
	}
	// The dead holder's key expires, then what its record demands is waited out.
	need := time.Duration(tries)*v.span("timing.try_timeout") + 2*longest + v.sum("timing.settle", "budgets.mount", "budgets.mount", "budgets.claim") +
		v.script("restore") + v.script("hooks.pre_start")
	if budget <= need {
		return wrong("startupProbe allows %v: a start may take %v", budget, need)
	}
	if told := v.span("orchestrator.start_budget"); told != budget {
		return wrong("orchestrator.start_budget is %v, the startupProbe allows %v", told, budget)
	}
	return nil
}
