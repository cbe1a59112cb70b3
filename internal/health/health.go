// Package health shows a run to the outside: /livez, /readyz, /status and /metrics, on a TCP address or
// a unix socket.
//
// Promise: an answer never waits for a mount or for the lock service: it is made from the last picture
// that the run's loop left. Non-promise: it takes no orders; there is nothing to change here. Called by
// cmd/interlock.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// A Picture is what a run looks like now. Status is shown as JSON.
type Picture struct {
	Live    bool   // the deciding loop turns
	Ready   bool   // the payload is serving
	Phase   string // for the one-line answers
	Status  any
	Metrics []Metric
}

// A Server answers from pictures.
type Server struct {
	http *http.Server
	done chan error
	unix string
}

// Listen opens addr (host:port, or unix:PATH) and serves pictures from now.
func Listen(addr string, look func() Picture) (*Server, error) {
	l, unix, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w: choose another --listen address", addr, err)
	}
	s := &Server{
		http: &http.Server{Handler: handler(look), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second},
		done: make(chan error, 1), unix: unix,
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// listen replaces a unix socket that nobody answers on, and no other file. EADDRINUSE is of an address that somebody
// else has now.
func listen(addr string) (net.Listener, string, error) {
	path, unix := strings.CutPrefix(addr, "unix:")
	if !unix {
		l, err := net.Listen("tcp", addr)
		return l, "", err
	}
	l, err := net.Listen("unix", path)
	if info, there := os.Lstat(path); err != nil && there == nil && info.Mode().Type() != os.ModeSocket {
		return nil, "", errors.New("there is a file, and it is no socket")
	}
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, "", err
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, "", err
	}
	// Its mode is the only lock on it, whatever the umask was.
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, "", errors.Join(err, l.Close())
	}
	return l, path, nil
}

const socketMode = 0o660

func abandoned(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Close ends the server; requests under way get a second.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func handler(look func() Picture) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		p := look()
		say(w, p.Live, p.Phase)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		p := look()
		say(w, p.Ready, p.Phase)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(look().Status) // the client went away: nobody to tell
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, look().Metrics)
	})
	return mux
}

func say(w http.ResponseWriter, good bool, phase string) {
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, phase)
}
