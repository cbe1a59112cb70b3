package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/storetest"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A stage is a server with a proxy before it, and a store behind the proxy.
type stage struct {
	*testing.T
	opts  Options
	proxy *storetest.Proxy
	s     *S3
}

// forEver makes a fault stay, for a store with little patience.
func (g *stage) forEver(wanted func(*http.Request) bool, f storetest.Fault) {
	g.Helper()
	g.opts.Patience = time.Second
	g.s = open(g.T, g.opts)
	g.proxy.Next(-1, wanted, f)
}

// TestFaults has one server for all; each has a proxy and a prefix of its own.
func TestFaults(t *testing.T) {
	t.Parallel()
	server := testkit.S3(t, testkit.S3Options{})
	server.Bucket(t, "bucket")
	for name, test := range map[string]func(*stage){
		"IgnoredCondition": ignoredCondition, "NotImplemented": notImplemented, "Conflict": conflict, "ConflictForEver": conflictForEver,
		"Busy": busy, "BusyForEver": busyForEver, "BusyAfterAll": busyAfterAll, "LostCreate": lostCreate, "LostPut": lostPut, "LostForEver": lostForEver,
		"Hung": hung, "CancelledCreate": cancelledCreate, "Truncated": truncated, "Stalled": stalled, "SlowCaller": slowCaller, "FlippedDown": flippedDown,
		"FlippedUp": flippedUp, "IgnoredRange": ignoredRange, "ListFaults": listFaults, "ListPage": listPage, "ListCancelled": listCancelled,
		"Absent": absent, "BadGateway": badGateway,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := storetest.NewProxy(t, storetest.Server{Endpoint: server.Endpoint(), AccessKey: server.AccessKey,
				SecretKey: server.SecretKey, Region: server.Region})
			o := options(t, server)
			o.Endpoint, o.Prefix, o.Stall, o.Patience = proxy.Endpoint(), strings.ToLower(name), 3*time.Second, time.Minute
			test(&stage{t, o, proxy, open(t, o)})
		})
	}
}

func wants(t *testing.T, err, want error, what string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s gave %v, expected %q", what, err, want)
	}
}

func (g *stage) must(err error, what string) {
	g.Helper()
	if err != nil {
		g.Fatalf("%s: %v", what, err)
	}
}

func (g *stage) create(key string) error { return g.s.Create(g.Context(), key, []byte("data of "+key)) }

func (g *stage) holds(key, want string) {
	g.Helper()
	got, err := store.ReadAll(g.Context(), g.s, key, 1<<20)
	if err != nil || string(got) != want {
		g.Fatalf("%s holds %q, %v: expected %q", key, got, err, want)
	}
}

// ignoredCondition: a server that overwrites is found out by the probe, also when it does so to some alone.
func ignoredCondition(g *stage) {
	g.proxy.Next(-1, storetest.Puts, storetest.IgnoreCondition)
	wants(g.T, store.Probe(g.Context(), g.s), store.ErrUnfenced, "probe of a server without conditions")
	g.proxy.Heal()
	g.proxy.Next(-1, storetest.Below("/many", storetest.Puts), storetest.IgnoreCondition)
	wants(g.T, store.Probe(g.Context(), g.s), store.ErrUnfenced, "probe of a server that lets several win")
	g.proxy.Heal()
	for _, key := range []string{"/one", "/many"} {
		g.proxy.Next(-1, storetest.Below(key, storetest.Puts), storetest.Claim)
		wants(g.T, store.Probe(g.Context(), g.s), store.ErrUnfenced, "probe of a server that tells losers that they won: "+key)
		g.proxy.Heal()
	}
	for o, err := range g.s.List(g.Context(), "", "") {
		g.Fatalf("the probe left %v, %v", o, err)
	}
}

func notImplemented(g *stage) {
	g.proxy.Next(-1, storetest.Puts, storetest.Refuse(http.StatusNotImplemented, "NotImplemented"))
	wants(g.T, g.create("a"), store.ErrUnfenced, "create")
	wants(g.T, store.Probe(g.Context(), g.s), store.ErrUnfenced, "probe")
}

// conflict is 409: two at once, of which neither may have won. It is tried again, and proves nothing.
func conflict(g *stage) {
	g.proxy.Next(2, storetest.Puts, storetest.Refuse(http.StatusConflict, "ConditionalRequestConflict"))
	g.must(g.create("a"), "create after two conflicts")
	g.proxy.Next(1, storetest.Puts, storetest.Refuse(http.StatusConflict, "ConditionalRequestConflict"))
	wants(g.T, g.create("a"), store.ErrExists, "create of what is there after a conflict")
}

func conflictForEver(g *stage) {
	g.forEver(storetest.Puts, storetest.Refuse(http.StatusConflict, "ConditionalRequestConflict"))
	err := g.create("a")
	wants(g.T, err, store.ErrUnreachable, "create under conflicts for ever")
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrAmbiguous) {
		g.Fatalf("a conflict was taken for an answer: %v", err)
	}
}

func busy(g *stage) {
	g.proxy.Next(2, storetest.All, storetest.Refuse(http.StatusServiceUnavailable, "SlowDown"))
	g.must(g.create("a"), "create")
	g.proxy.Next(2, storetest.All, storetest.Refuse(http.StatusServiceUnavailable, "SlowDown"))
	g.holds("a", "data of a")
	g.proxy.Next(2, storetest.All, storetest.Refuse(http.StatusTooManyRequests, "TooManyRequests"))
	g.must(g.s.Delete(g.Context(), "a"), "delete")
}

func busyForEver(g *stage) {
	g.forEver(storetest.All, storetest.Refuse(http.StatusServiceUnavailable, "SlowDown"))
	begun := time.Now()
	wants(g.T, g.create("a"), store.ErrUnreachable, "create")
	wants(g.T, g.s.Put(g.Context(), "a", strings.NewReader("x"), 1), store.ErrUnreachable, "put")
	_, err := g.s.Get(g.Context(), "a", 0, -1)
	wants(g.T, err, store.ErrUnreachable, "get")
	wants(g.T, g.s.Delete(g.Context(), "a"), store.ErrUnreachable, "delete")
	for _, err := range g.s.List(g.Context(), "", "") {
		wants(g.T, err, store.ErrUnreachable, "list")
	}
	if took := time.Since(begun); took > 5*10*time.Second {
		g.Fatalf("five calls with a patience of 1 s took %v", took)
	}
}

// busyAfterAll: a 503 of something before the server, which had done it. The second try finds it there,
// and must not call it another's.
func busyAfterAll(g *stage) {
	g.proxy.Next(1, storetest.Puts, storetest.ReplaceReply(http.StatusServiceUnavailable, "SlowDown"))
	err := g.create("a")
	wants(g.T, err, store.ErrAmbiguous, "create that was done in spite of a 503")
	if errors.Is(err, store.ErrExists) {
		g.Fatalf("our own object is called another's: %v", err)
	}
}

func lostCreate(g *stage) {
	g.proxy.Next(1, storetest.Puts, storetest.LoseReply)
	wants(g.T, g.create("a"), store.ErrAmbiguous, "create whose reply was lost")
	g.holds("a", "data of a")
	wants(g.T, g.create("a"), store.ErrExists, "create again")
	g.proxy.Next(1, storetest.Puts, storetest.LoseRequest)
	wants(g.T, g.create("b"), store.ErrAmbiguous, "create whose request was lost")
	_, err := g.s.Get(g.Context(), "b", 0, -1)
	wants(g.T, err, store.ErrNotFound, "get of it")
}

func lostPut(g *stage) {
	body := bytes.Repeat([]byte("pack"), 1<<20)
	g.proxy.Next(1, storetest.Puts, storetest.LoseReply)
	g.proxy.Next(1, storetest.Puts, storetest.LoseRequest)
	g.must(g.s.Put(g.Context(), "pack", bytes.NewReader(body), int64(len(body))), "put")
	got, err := store.ReadAll(g.Context(), g.s, "pack", 1<<30)
	if err != nil || !bytes.Equal(got, body) {
		g.Fatalf("%d bytes came back, %v", len(got), err)
	}
	g.proxy.Next(1, storetest.All, storetest.LoseReply)
	g.must(g.s.Delete(g.Context(), "pack"), "delete whose reply was lost")
}

func lostForEver(g *stage) {
	g.forEver(storetest.All, storetest.LoseRequest)
	wants(g.T, g.s.Put(g.Context(), "a", strings.NewReader("x"), 1), store.ErrUnreachable, "put")
	_, err := g.s.Get(g.Context(), "a", 0, -1)
	wants(g.T, err, store.ErrUnreachable, "get")
	wants(g.T, g.create("a"), store.ErrAmbiguous, "create")
}

// hung: a server that takes the request and never answers costs one time limit.
func hung(g *stage) {
	g.forEver(storetest.All, storetest.Hang)
	begun := time.Now()
	err := g.create("a")
	wants(g.T, err, store.ErrAmbiguous, "create")
	wants(g.T, err, store.ErrUnreachable, "create")
	if took := time.Since(begun); took > 20*time.Second {
		g.Fatalf("a time limit of 3 s took %v", took)
	}
	_, err = g.s.Get(g.Context(), "a", 0, -1)
	wants(g.T, err, errStalled, "get")
	wants(g.T, g.s.Delete(g.Context(), "a"), errStalled, "delete")
	for _, err := range g.s.List(g.Context(), "", "") {
		wants(g.T, err, errStalled, "list")
	}
}

// cancelledCreate: the caller gives up in the middle, and is told that it may have been done.
func cancelledCreate(g *stage) {
	reached := make(chan bool, 1)
	g.proxy.Next(1, storetest.Puts, func(p *storetest.Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
		reached <- true
		storetest.Hang(p, w, r, body)
	})
	ctx, cancel := context.WithCancel(g.Context())
	done := make(chan error, 1)
	go func() { done <- g.s.Create(ctx, "a", []byte("x")) }()
	testkit.Recv(g.T, 20*time.Second, "the request", reached)
	cancel()
	err := testkit.Recv(g.T, 20*time.Second, "the end of a cancelled create", done)
	wants(g.T, err, context.Canceled, "cancelled create")
	wants(g.T, err, store.ErrAmbiguous, "cancelled create")
	if errors.Is(err, store.ErrUnreachable) {
		g.Fatalf("giving up is called the server's fault: %v", err)
	}
}

func truncated(g *stage) {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	g.must(g.s.Put(g.Context(), "pack", bytes.NewReader(data), int64(len(data))), "put")
	for _, r := range []struct{ off, n int64 }{{0, -1}, {1000, 500_000}, {999, -1}} {
		g.proxy.Next(1, storetest.Gets, storetest.Truncate(100_000))
		body, err := g.s.Get(g.Context(), "pack", r.off, r.n)
		g.must(err, "get")
		n, err := io.Copy(io.Discard, body)
		g.must(body.Close(), "close")
		wants(g.T, err, store.ErrUnreachable, "read of a cut body")
		if n > 100_000 {
			g.Fatalf("%d bytes of 100000 came", n)
		}
	}
}

func stalled(g *stage) {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	g.must(g.s.Put(g.Context(), "pack", bytes.NewReader(data), int64(len(data))), "put")
	g.proxy.Next(1, storetest.Gets, storetest.Stall(1000))
	body, err := g.s.Get(g.Context(), "pack", 0, -1)
	g.must(err, "get")
	begun := time.Now()
	_, err = io.Copy(io.Discard, body)
	g.must(body.Close(), "close")
	wants(g.T, err, store.ErrUnreachable, "read of a body that stalls")
	wants(g.T, err, errStalled, "read of a body that stalls")
	if took := time.Since(begun); took > 15*time.Second {
		g.Fatalf("a time limit of 3 s took %v", took)
	}
}

// slowCaller: only what the server is waited for counts, not what the caller does between two reads.
func slowCaller(g *stage) {
	g.opts.Stall = 500 * time.Millisecond
	g.s = open(g.T, g.opts)
	data := make([]byte, 4<<20) // more than any buffer on the way holds
	g.must(g.s.Put(g.Context(), "a", bytes.NewReader(data), int64(len(data))), "put")
	g.must(g.create("b"), "create")
	pause := func() { <-time.After(3 * g.opts.Stall) }
	body, err := g.s.Get(g.Context(), "a", 0, -1)
	g.must(err, "get")
	pause()
	_, err = io.ReadFull(body, make([]byte, 1<<20))
	g.must(err, "read after a pause")
	pause()
	_, err = io.ReadAll(body)
	g.must(err, "read after another pause")
	g.must(body.Close(), "close")
	for _, err := range g.s.List(g.Context(), "", "") {
		g.must(err, "list by a slow caller")
		pause()
	}
}

func flippedDown(g *stage) {
	g.must(g.create("catalog/1"), "create")
	g.proxy.Next(1, storetest.Gets, storetest.Flip)
	_, err := store.ReadAll(g.Context(), g.s, "catalog/1", 1<<20)
	wants(g.T, err, store.ErrDamaged, "read of changed bytes")
}

// flippedUp: the server refuses bytes that are not those signed, and the next try brings them.
func flippedUp(g *stage) {
	g.proxy.Next(1, storetest.Puts, storetest.FlipUpload)
	g.must(g.create("catalog/1"), "create")
	g.holds("catalog/1", "data of catalog/1")
	g.forEver(storetest.Puts, storetest.FlipUpload)
	wants(g.T, g.create("catalog/2"), store.ErrDamaged, "create under changes for ever")
	g.proxy.Heal()
	_, err := g.s.Get(g.Context(), "catalog/2", 0, -1)
	wants(g.T, err, store.ErrNotFound, "get of it")
}

func ignoredRange(g *stage) {
	g.must(g.create("a"), "create")
	g.proxy.Next(-1, storetest.Gets, storetest.IgnoreRange)
	for _, n := range []int64{3, -1} {
		if body, err := g.s.Get(g.Context(), "a", 2, n); err == nil {
			_ = body.Close()
			g.Fatal("a whole object was taken for a part of it")
		}
	}
	g.holds("a", "data of a")
}

func listFaults(g *stage) {
	keys := []string{"a", "b", "c", "d"}
	for _, key := range keys {
		g.must(g.create(key), "create")
	}
	for name, fault := range map[string]storetest.Fault{
		"503": storetest.Refuse(http.StatusServiceUnavailable, "SlowDown"), "cut": storetest.Truncate(700), "lost": storetest.LoseReply, "page": storetest.Page,
	} {
		g.proxy.Next(1, storetest.Lists, fault)
		got := ""
		for o, err := range g.s.List(g.Context(), "", "") {
			g.must(err, "list after "+name)
			got += o.Key
		}
		if got != "abcd" {
			g.Fatalf("after %s the list is %q", name, got)
		}
	}
}

// listPage: what is no S3 server has no empty repository.
func listPage(g *stage) {
	g.forEver(storetest.All, storetest.Page)
	for o, err := range g.s.List(g.Context(), "catalog/", "") {
		wants(g.T, err, store.ErrUnreachable, "list of a page")
		wants(g.T, err, errNoS3, "list of a page: "+o.Key)
		return
	}
	g.Fatal("a page was taken for an empty repository")
}

// listCancelled: a list that ends early because its context did says so.
func listCancelled(g *stage) {
	for _, key := range []string{"a", "b"} {
		g.must(g.create(key), "create")
	}
	ctx, cancel := context.WithCancel(g.Context())
	var last error
	for _, err := range g.s.List(ctx, "", "") {
		cancel()
		last = err
	}
	cancel()
	wants(g.T, last, context.Canceled, "a cancelled list")
}

// absent: the bucket is asked for itself whenever something is not there.
func absent(g *stage) {
	heads := g.proxy.Seen("HEAD /bucket")
	_, err := g.s.Get(g.Context(), "catalog/1", 0, -1)
	wants(g.T, err, store.ErrNotFound, "get")
	for o, err := range g.s.List(g.Context(), "", "") {
		g.Fatalf("the list has %v, %v", o, err)
	}
	if n := g.proxy.Seen("HEAD /bucket") - heads; n != 2 {
		g.Fatalf("the bucket was asked for %d times, expected 2", n)
	}
	g.proxy.Next(-1, func(r *http.Request) bool { return r.Method == http.MethodHead }, storetest.Refuse(http.StatusNotFound, ""))
	_, err = g.s.Get(g.Context(), "catalog/1", 0, -1)
	wants(g.T, err, store.ErrNoPlace, "get in a bucket that is not there")
	for _, err := range g.s.List(g.Context(), "", "") {
		wants(g.T, err, store.ErrNoPlace, "list of a bucket that is not there")
		return
	}
	g.Fatal("a missing bucket was taken for an empty one")
}

func badGateway(g *stage) {
	g.forEver(storetest.All, storetest.Refuse(http.StatusBadGateway, "<oops>"))
	_, err := g.s.Get(g.Context(), "a", 0, -1)
	wants(g.T, err, store.ErrUnreachable, "get")
}
