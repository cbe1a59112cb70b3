// Package register is the second judge of the chaos suite: a storage that checks tokens.
//
// Promise: a write (token, n) is accepted only if no higher token was ever seen, whichever connection it
// came by; each refused one is counted and logged. Non-promise: a reject is no overlap: bytes that were in
// flight when their sender died arrive late, and refusing them is what it is there for. It imports nothing
// of this module. Called by the chaos suite, which serves it inside the field, and by its own test.
package register

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// A Server keeps one register.
type Server struct {
	log io.Writer

	mu       sync.Mutex
	highest  uint64
	value    uint64
	accepted int
	rejects  map[uint64]int // by token
	garbled  int
	conns    map[net.Conn]bool
	closed   bool
	wait     sync.WaitGroup
}

// New makes a register; log gets a line for each change of token and each reject, and may be io.Discard.
func New(log io.Writer) *Server {
	return &Server{log: log, rejects: map[uint64]int{}, conns: map[net.Conn]bool{}}
}

// Counts are what the register saw.
type Counts struct {
	Highest, Value             uint64
	Accepted, Rejects, Garbled int
}

// Counts tells what was seen so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Counts{Highest: s.highest, Value: s.value, Accepted: s.accepted, Garbled: s.garbled}
	for _, n := range s.rejects {
		c.Rejects += n
	}
	return c
}

// Serve answers until the listener is closed, and returns when all connections are.
func (s *Server) Serve(lis net.Listener) error {
	defer s.Close()
	for {
		conn, err := lis.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("register: cannot accept: %w", err)
		}
		if s.keep(conn) {
			go s.answer(conn)
		}
	}
}

// Close ends the connections and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		// The reader sees it as the end of its stream.
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wait.Wait()
}

func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	s.conns[c] = true
	s.wait.Add(1)
	return true
}

// answer serves one connection: a line each way.
func (s *Server) answer(c net.Conn) {
	defer s.wait.Done()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		_ = c.Close()
	}()
	in := bufio.NewScanner(c)
	for in.Scan() {
		if _, err := fmt.Fprintln(c, s.write(in.Text())); err != nil {
			return
		}
	}
}

// write applies one line and gives the answer.
func (s *Server) write(line string) string {
	first, second, _ := strings.Cut(line, " ")
	token, err1 := strconv.ParseUint(first, 10, 64)
	n, err2 := strconv.ParseUint(second, 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err1 != nil || err2 != nil {
		s.garbled++
		fmt.Fprintf(s.log, "garbled %q\n", line)
		return "garbled: expected TOKEN N"
	}
	if token < s.highest {
		s.rejects[token]++
		fmt.Fprintf(s.log, "reject %d %d: %d was seen\n", token, n, s.highest)
		return fmt.Sprintf("no: %d was seen", s.highest)
	}
	if token > s.highest {
		fmt.Fprintf(s.log, "token %d after %d\n", token, s.highest)
	}
	s.highest, s.value = token, n
	s.accepted++
	return "ok"
}
