package warmtest

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Later stands in front of a real server as one of a later version, with the defects that 1.6.19 to 1.6.43 have:
// a reader of a list who stalls for longer than dies crashes the server; one who stalls for a second gets lines
// twice. From 1.6.43 on a list begins with OK. crashed tells whether it came to that.
func Later(t testing.TB, kit *testkit.MemcachedServer, version string, defective bool, dies time.Duration) (s memcached.Server, crashed func() bool) {
	t.Helper()
	var down atomic.Bool
	m := &middle{target: kit.Addr(), version: version, change: func(_ int, text string) string { return text }}
	if !defective {
		m.change = func(_ int, text string) string { return "OK\r\n" + text }
	}
	m.pass = func(c net.Conn, list string) error {
		const chunk = 16 << 10
		for list != "" {
			text := list[:min(chunk, len(list))]
			list = list[len(text):]
			begun := time.Now()
			if err := c.SetWriteDeadline(begun.Add(dies)); err != nil {
				return err
			}
			if err := write(c, text); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) && defective {
					down.Store(true)
				}
				return err
			}
			if defective && time.Since(begun) > time.Second {
				list = text[len(text)/3:] + list
			}
		}
		return nil
	}
	return stand(t, m), down.Load
}
