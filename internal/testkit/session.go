package testkit

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Session is one open connection to a database. It belongs to one goroutine.
type Session struct {
	in      io.WriteCloser
	answers chan string
	read    chan struct{} // closed when the reader has ended
}

// Open connects and stays connected until the test ends, the server does, or
// Close. It never connects again by itself: an answer is that of the server
// which it was opened to.
func (d *Database) Open(t testing.TB) *Session {
	t.Helper()
	if d.Name == "redis" {
		// redis-cli would connect again.
		c, err := net.DialTimeout("unix", d.Socket, 5*time.Second)
		must(t, err)
		return newSession(t, c, c, func() {})
	}
	inR, inW, err := os.Pipe()
	must(t, err)
	outR, outW, err := os.Pipe()
	must(t, err)
	cmd := exec.Command(d.client[0], d.client[1:]...)
	cmd.Stdin, cmd.Stdout = inR, outW
	p := StartCmd(t, cmd)
	must(t, inR.Close())
	must(t, outW.Close())
	return newSession(t, inW, outR, func() { must(t, p.killTree()) })
}

func newSession(t testing.TB, in io.WriteCloser, out io.ReadCloser, end func()) *Session {
	s := &Session{in: in, answers: make(chan string, 64), read: make(chan struct{})}
	go func() {
		defer close(s.read)
		defer close(s.answers)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.answers <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		end()
		_ = in.Close() // Close of the session may have been before us
		_ = out.Close()
		for range s.answers { // lets the reader go on to its end
		}
		<-s.read
	})
	return s
}

// Ask sends one statement and gives the one line that it answers (no
// negative number; of Redis a number or a status). An error says that there was no answer, or a refusal:
// whether the statement was executed is open.
func (s *Session) Ask(statement string, limit time.Duration) (string, error) {
	if _, err := io.WriteString(s.in, statement+"\n"); err != nil {
		return "", fmt.Errorf("%q: the connection takes no statement: %w", statement, err)
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case answer, ok := <-s.answers:
		switch {
		case !ok:
			return "", fmt.Errorf("%q: the connection ended", statement)
		case strings.HasPrefix(answer, "-"):
			return "", fmt.Errorf("%q: refused: %s", statement, answer)
		}
		return strings.TrimLeft(answer, ":+"), nil
	case <-end.C:
		return "", fmt.Errorf("%q: no answer within %v", statement, limit)
	}
}

// Close disconnects in good order.
func (s *Session) Close(t testing.TB) {
	t.Helper()
	must(t, s.in.Close())
	Wait(t, 10*time.Second, func() (bool, string) {
		select {
		case <-s.read:
			return true, ""
		default:
			return false, "the client has not ended"
		}
	})
}
