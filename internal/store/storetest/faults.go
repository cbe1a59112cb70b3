package storetest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Pass is no fault.
func Pass(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
	p.through(w, r, body, -1, nil)
}

func (p *Proxy) through(w http.ResponseWriter, r *http.Request, body []byte, most int64, change func(*http.Request)) {
	resp, err := p.forward(r, body, change)
	if err == nil {
		err = answer(w, resp, most)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the server, or the client, has gone: so has this connection
	}
}

// IgnoreCondition makes the server one that knows no If-None-Match.
func IgnoreCondition(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
	p.through(w, r, body, -1, func(out *http.Request) {
		out.Header.Del("If-None-Match")
		p.resign(out)
	})
}

// Claim tells every loser that it has won.
func Claim(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
	resp, err := p.forward(r, body, nil)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if resp.StatusCode == http.StatusPreconditionFailed {
		resp.StatusCode = http.StatusOK
	}
	if err := answer(w, resp, -1); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// IgnoreRange makes it one that always sends the whole object.
func IgnoreRange(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
	p.through(w, r, body, -1, func(out *http.Request) {
		out.Header.Del("Range")
		p.resign(out)
	})
}

// Refuse answers without asking the server.
func Refuse(status int, code string) Fault {
	return func(_ *Proxy, w http.ResponseWriter, r *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method == http.MethodHead {
			return
		}
		// A client that has gone needs no answer.
		_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>by the proxy</Message></Error>", code)
	}
}

// Page answers with a page of something that is no S3 server.
func Page(_ *Proxy, w http.ResponseWriter, _ *http.Request, _ []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<html><body><p>please log in</p></body></html>")
}

// LoseReply lets the server do what it is asked and tells nobody.
func LoseReply(p *Proxy, _ http.ResponseWriter, r *http.Request, body []byte) {
	resp, err := p.forward(r, body, nil)
	if err != nil {
		p.t.Errorf("the proxy's own request failed: %v", err)
	} else if err := resp.Body.Close(); err != nil {
		p.t.Errorf("the proxy's own answer failed: %v", err)
	}
	panic(http.ErrAbortHandler)
}

// ReplaceReply lets the server do what it is asked, and answers with a refusal.
func ReplaceReply(status int, code string) Fault {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
		resp, err := p.forward(r, body, nil)
		if err != nil {
			p.t.Errorf("the proxy's own request failed: %v", err)
		} else if err := resp.Body.Close(); err != nil {
			p.t.Errorf("the proxy's own answer failed: %v", err)
		}
		Refuse(status, code)(p, w, r, body)
	}
}

// LoseRequest drops a request before the server.
func LoseRequest(*Proxy, http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) }

// Truncate cuts the reply's body after n bytes.
func Truncate(n int64) Fault {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
		p.through(w, r, body, n, nil)
	}
}

// Stall sends n bytes of the reply's body and then nothing more, until the client goes.
func Stall(n int64) Fault {
	return func(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
		p.through(w, r, body, n, nil)
		if err := http.NewResponseController(w).Flush(); err != nil {
			p.t.Errorf("the proxy cannot flush: %v", err)
		}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Hang takes the request and answers nothing, until the client goes.
func Hang(_ *Proxy, _ http.ResponseWriter, r *http.Request, _ []byte) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// Flip changes one byte of the reply's body.
func Flip(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
	resp, err := p.forward(r, body, nil)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{&flipped{from: resp.Body}, resp.Body}
	if err := answer(w, resp, -1); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// FlipUpload changes one byte of the request's body on its way to the server.
func FlipUpload(p *Proxy, w http.ResponseWriter, r *http.Request, body []byte) {
	body[len(body)/2] ^= 1
	Pass(p, w, r, body)
}

type flipped struct {
	from io.Reader
	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if n > 0 && !f.done {
		p[0], f.done = p[0]^1, true
	}
	return n, err
}

// Below wants the requests for keys with this ending, of those that the other one wants.
func Below(suffix string, of func(*http.Request) bool) func(*http.Request) bool {
	return func(r *http.Request) bool { return of(r) && strings.HasSuffix(r.URL.Path, suffix) }
}
