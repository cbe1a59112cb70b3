package health

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, p Picture) (get func(string) (int, string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen("unix:"+path, func() Picture { return p })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	return func(page string) (int, string) {
		resp, err := c.Get("http://x" + page)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
}

func TestPages(t *testing.T) {
	var beats HistogramCounts
	beats.Add(3 * time.Millisecond)
	beats.Add(time.Minute)
	get := serve(t, Picture{Live: true, Phase: "locking", Status: map[string]string{"phase": "locking"}, Metrics: []Metric{
		Gauge("a", "A gauge.", 1.5), Histogram("h_seconds", "Beats.", beats),
		{Name: "b", Help: "Labelled.", Type: "gauge", Samples: []Sample{{Labels: []string{"path", "a\"\\\nb"}, Value: 1}}},
	}})
	if code, body := get("/livez"); code != 200 || body != "locking\n" {
		t.Errorf("livez %d %q", code, body)
	}
	if code, _ := get("/readyz"); code != 503 {
		t.Errorf("readyz %d while waiting: expected 503", code)
	}
	if _, body := get("/status"); !strings.Contains(body, `"phase": "locking"`) {
		t.Errorf("status %q", body)
	}
	_, body := get("/metrics")
	for _, line := range []string{
		"# TYPE a gauge\na 1.5\n", `h_seconds_bucket{le="0.0025"} 0`, `h_seconds_bucket{le="0.005"} 1`,
		`h_seconds_bucket{le="+Inf"} 2`, "h_seconds_count 2\n", `b{path="a\"\\\nb"} 1`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("metrics lack %q:\n%s", line, body)
		}
	}
	if code, _ := get("/nothing"); code != 404 {
		t.Errorf("an unknown page answers %d", code)
	}
}

func TestListenRefusesWhatIsNotAnAbandonedSocket(t *testing.T) {
	look := func() Picture { return Picture{} }
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+file, look); err == nil {
		t.Error("listened on a regular file")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file at the socket's path is now %q, %v", b, err)
	}
	used := filepath.Join(t.TempDir(), "used")
	s, err := Listen("unix:"+used, look)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Listen("unix:"+used, look); err == nil {
		t.Error("took a socket away on which somebody answers")
	}
}

func TestListenReplacesAnAbandonedSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Listen("unix:"+path, func() Picture { return Picture{} })
	if err != nil {
		t.Fatalf("an abandoned socket keeps the next run from listening: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("the socket's mode is %v, %v: expected %04o", info.Mode(), err, socketMode)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
