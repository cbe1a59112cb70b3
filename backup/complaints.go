package backup

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// What is kept and passed on of a command's standard error.
const (
	wordsKept = 2 << 10 // bytes
	lineMost  = 4 << 10 // bytes; longer lines are cut in pieces
)

// complaints are what a command writes to its standard error: passed on line by line, the end kept.
type complaints struct {
	from   *os.File
	log    *slog.Logger
	mu     sync.Mutex
	last   []byte
	joined chan struct{}
	err    error
}

func listen(from *os.File, log *slog.Logger) *complaints {
	c := &complaints{from: from, log: log, joined: make(chan struct{})}
	go c.read() // ends with the pipe, or by end
	return c
}

func (c *complaints) read() {
	defer close(c.joined)
	lines := bufio.NewReaderSize(c.from, lineMost)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			c.keep(line)
			c.log.Info(strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "?"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
				c.err = err
			}
			return
		}
	}
}

func (c *complaints) keep(line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = append(c.last, line...)
	if extra := len(c.last) - wordsKept; extra > 0 {
		c.last = append(c.last[:0], c.last[extra:]...)
	}
}

// end waits for the rest, not longer than so long, and closes the pipe.
func (c *complaints) end(grace time.Duration) error {
	err := c.from.SetReadDeadline(time.Now().Add(grace))
	<-c.joined
	return errors.Join(err, c.err, c.from.Close())
}

// text is the last of what was said.
func (c *complaints) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ToValidUTF8(string(c.last), "?")
}

// said is the end of an error message: the last lines in one.
func (c *complaints) said() string {
	text := strings.TrimSpace(c.text())
	if text == "" {
		return ", without a word"
	}
	lines := strings.Split(text, "\n")
	if len(lines) > 5 {
		lines = lines[len(lines)-5:]
	}
	return ": it said: " + strings.Join(lines, " | ")
}
