package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// A log that nobody reads must not stop those who log.
func TestLogThatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	s := newSteadyWriter(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		log := slog.New(slog.NewTextHandler(s, nil))
		for range 5000 {
			log.Info(strings.Repeat("x", 100))
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("logging waits for the reader")
	}
	if s.Close(10*time.Millisecond) == 0 {
		t.Error("nothing was dropped, though 500 kB found room for 64 kB and 1024 lines")
	}
}

func TestLogIsWrittenAtTheEnd(t *testing.T) {
	var b strings.Builder
	s := newSteadyWriter(&b)
	for i := range 100 {
		fmt.Fprintln(s, i)
	}
	if n := s.Close(10 * time.Second); n != 0 || strings.Count(b.String(), "\n") != 100 || !strings.HasSuffix(b.String(), "99\n") {
		t.Errorf("%d dropped, written: %q", n, b.String())
	}
}
