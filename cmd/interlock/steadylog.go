package main

import (
	"io"
	"sync"
	"time"
)

// A steadyWriter keeps a reader of the log that has stopped reading from stopping those who log: the
// deciding loop must turn, or the lease is lost. Lines that find no room are dropped, and counted.
type steadyWriter struct {
	to      io.Writer
	lines   chan []byte
	quit    chan struct{}
	ended   chan struct{}
	once    sync.Once
	mu      sync.Mutex
	dropped int
}

// steadyLines is how many lines wait for a slow reader.
const steadyLines = 1024

func newSteadyWriter(to io.Writer) *steadyWriter {
	s := &steadyWriter{to: to, lines: make(chan []byte, steadyLines), quit: make(chan struct{}), ended: make(chan struct{})}
	go s.run()
	return s
}

// Write never waits and never fails.
func (s *steadyWriter) Write(line []byte) (int, error) {
	select {
	case s.lines <- append([]byte(nil), line...):
	default:
		s.mu.Lock()
		s.dropped++
		s.mu.Unlock()
	}
	return len(line), nil
}

func (s *steadyWriter) run() {
	defer close(s.ended)
	for {
		select {
		case line := <-s.lines:
			_, _ = s.to.Write(line) // there is nobody to tell
			continue
		default:
		}
		select {
		case line := <-s.lines:
			_, _ = s.to.Write(line)
		case <-s.quit:
			if len(s.lines) == 0 {
				return
			}
		}
	}
}

// Close waits for what was logged to be written, as long as limit, and tells how many lines were dropped.
// What does not get written by then is left to the end of the process.
func (s *steadyWriter) Close(limit time.Duration) int {
	s.once.Do(func() { close(s.quit) })
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}
