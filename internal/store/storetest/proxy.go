package storetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// A Server is the S3 server behind a Proxy, and who may sign for it.
type Server struct{ Endpoint, AccessKey, SecretKey, Region string }

// A Proxy stands before a real S3 server and makes chosen requests go wrong. It passes all others on as
// they are.
type Proxy struct {
	t      testing.TB
	server Server
	front  *httptest.Server
	back   *http.Transport

	mu    sync.Mutex
	rules []*rule
	seen  []string // METHOD path?query of all requests
}

type rule struct {
	wanted func(*http.Request) bool
	left   int // negative: for ever
	fault  Fault
}

// A Fault answers one request in the server's place.
type Fault func(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte)

// NewProxy starts one for this test.
func NewProxy(t testing.TB, s Server) *Proxy {
	p := &Proxy{t: t, server: s, back: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}
	p.front = httptest.NewServer(p)
	t.Cleanup(func() {
		p.front.CloseClientConnections()
		p.front.Close()
		p.back.CloseIdleConnections()
	})
	return p
}

// Endpoint is what the client is given.
func (p *Proxy) Endpoint() string { return p.front.URL }

// Next lets the fault answer the next n requests that are wanted; with n < 0 all of them.
func (p *Proxy) Next(n int, wanted func(*http.Request) bool, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, &rule{wanted, n, f})
}

// Heal forgets all faults.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
}

// Seen counts the requests so far whose METHOD and path begin so.
func (p *Proxy) Seen(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.seen {
		if strings.HasPrefix(s, what) {
			n++
		}
	}
	return n
}

// Puts, Gets and Lists are the requests for objects and for lists of them.
func Puts(r *http.Request) bool { return r.Method == http.MethodPut }

// Gets are those of objects.
func Gets(r *http.Request) bool {
	return r.Method == http.MethodGet && !r.URL.Query().Has("list-type")
}

// Lists are those of lists.
func Lists(r *http.Request) bool { return r.URL.Query().Has("list-type") }

// All is every request.
func All(*http.Request) bool { return true }

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	if fault := p.choose(r); fault != nil {
		fault(p, w, r, body)
		return
	}
	Pass(p, w, r, body)
}

func (p *Proxy) choose(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.URL.RequestURI())
	for _, rule := range p.rules {
		if rule.left != 0 && rule.wanted(r) {
			rule.left--
			return rule.fault
		}
	}
	return nil
}

// forward asks the server. The host stays: it is signed.
func (p *Proxy) forward(r *http.Request, body []byte, change func(*http.Request)) (*http.Response, error) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, p.server.Endpoint+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header, out.Host = r.Header.Clone(), r.Host
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	if change != nil {
		change(out)
	}
	return p.back.RoundTrip(out)
}

// resign signs a changed request as its sender would have.
func (p *Proxy) resign(r *http.Request) {
	r.Header.Del("Authorization")
	*r = *signer.SignV4(*r, p.server.AccessKey, p.server.SecretKey, "", p.server.Region)
}

// answer passes a reply on; most bounds its body, negative: all of it.
func answer(w http.ResponseWriter, resp *http.Response, most int64) error {
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	from := io.Reader(resp.Body)
	if most >= 0 {
		from = io.LimitReader(from, most)
	}
	if _, err := io.Copy(w, from); err != nil {
		return fmt.Errorf("the proxy cannot pass a reply on: %w", err)
	}
	return nil
}
