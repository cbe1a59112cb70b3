package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func skipWithoutEtcd(t testing.TB) {
	t.Helper()
	for _, name := range []string{"etcd", "etcdctl"} {
		if _, err := exec.LookPath(name); err != nil {
			Skip(t, "etcd", name+" is not installed (Debian: etcd-server etcd-client)")
		}
	}
}

func (s *EtcdServer) command() []string {
	client, peer := s.Endpoint(), "http://"+loopback(s.peer)
	args := []string{"etcd", "--name", "n1", "--data-dir", filepath.Join(s.dir, "data"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "n1=" + peer,
		"--listen-metrics-urls", "http://" + loopback(s.metrics), "--logger", "zap",
		"--heartbeat-interval", millis(s.opts.Heartbeat, 50), "--election-timeout", millis(s.opts.Election, 500),
		"--quota-backend-bytes", strconv.FormatInt(orInt64(s.opts.QuotaBytes, 128<<20), 10)}
	if s.opts.AuthTokenTTL > 0 {
		args = append(args, "--auth-token-ttl", strconv.Itoa(int(s.opts.AuthTokenTTL/time.Second)))
	}
	if s.opts.TLS {
		args = append(args, "--cert-file", filepath.Join(s.dir, "server.crt"), "--key-file", filepath.Join(s.dir, "server.key"),
			"--trusted-ca-file", s.CA())
	}
	if s.opts.ClientCertAuth {
		args = append(args, "--client-cert-auth")
	}
	return append(args, s.opts.Extra...)
}

func millis(d time.Duration, otherwise int64) string {
	return strconv.FormatInt(orInt64(d.Milliseconds(), otherwise), 10)
}

func orInt64(v, otherwise int64) int64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// Ctl runs etcdctl as root against the server and returns its output; the
// error carries what etcdctl said.
func (s *EtcdServer) Ctl(args ...string) (string, error) {
	full := []string{"--endpoints", s.Endpoint(), "--command-timeout", "10s"}
	if s.opts.TLS {
		full = append(full, "--cacert", s.CA(), "--cert", s.root.Cert, "--key", s.root.Key)
	}
	if s.Root.Password != "" && s.authIsOn() {
		full = append(full, "--user", s.Root.Name+":"+s.Root.Password)
	}
	cmd := exec.Command("etcdctl", append(full, args...)...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("etcdctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// authIsOn is kept as a file beside the data: it outlives restarts.
func (s *EtcdServer) authIsOn() bool {
	_, err := os.Stat(filepath.Join(s.dir, "auth-on"))
	return err == nil
}

func (s *EtcdServer) enableAuth() error {
	if !s.opts.Auth {
		return nil
	}
	for _, line := range []string{
		"user add root:" + s.Root.Password, "role add root", "user grant-role root root",
		"role add app", "role grant-permission app readwrite --prefix=true /interlock/",
		"user add app:" + s.App.Password, "user grant-role app app", "auth enable",
	} {
		if _, err := s.Ctl(strings.Fields(line)...); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(s.dir, "auth-on"), nil, 0o600)
}

// healthy uses the metrics port, which asks for no certificate; etcd answers
// it from a linearizable read.
func (s *EtcdServer) healthy() error {
	raw, err := s.get("/health")
	if err != nil {
		return err
	}
	var h struct{ Health string }
	if err := json.Unmarshal(raw, &h); err != nil {
		return err
	}
	if h.Health != "true" {
		return fmt.Errorf("not healthy: %s", raw)
	}
	return nil
}

func (s *EtcdServer) get(path string) ([]byte, error) {
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + loopback(s.metrics) + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, 8<<20))
}

// Metric reads one sample of the server's own metrics, by its full name with
// labels if it has any. An unknown name fails the test.
func (s *EtcdServer) Metric(t testing.TB, name string) float64 {
	t.Helper()
	v, ok := s.Metrics(t)[name]
	if !ok {
		t.Fatalf("etcd has no metric %s", name)
	}
	return v
}

// Metrics reads them all at once.
func (s *EtcdServer) Metrics(t testing.TB) map[string]float64 {
	t.Helper()
	raw, err := s.get("/metrics")
	must(t, err)
	all := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		must(t, err)
		all[line[:at]] = v
	}
	return all
}

// Version is what the server says of itself.
func (s *EtcdServer) Version(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("etcd", "--version").Output()
	must(t, err)
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(first, "etcd Version: ")
}
