//go:build bench

package cache

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/interlock-run/interlock/warm/warmtest"
)

const batchItems = 256

// stores are the bytes that a raw loop sends: sets in batches, each ended by mn.
func stores(n int, of func(i, n int) warmtest.Item) (all [][]byte) {
	for at := 0; at < n; at += batchItems {
		var b bytes.Buffer
		for i := at; i < min(at+batchItems, n); i++ {
			it := of(i, n)
			fmt.Fprintf(&b, "ms %s %d F%d T%d ME q\r\n%s\r\n", it.Key, len(it.Value), it.Flags, it.TTL, it.Value)
		}
		b.WriteString("mn\r\n")
		all = append(all, b.Bytes())
	}
	return all
}

// fetches are the same for reads.
func fetches(n int) (all [][]byte) {
	for at := 0; at < n; at += batchItems {
		var b bytes.Buffer
		for i := at; i < min(at+batchItems, n); i++ {
			fmt.Fprintf(&b, "mg %s u f t v\r\n", benchItem(i, n).Key)
		}
		b.WriteString("mn\r\n")
		all = append(all, b.Bytes())
	}
	return all
}

// benchItem is of the mix, with keys and lifetimes that any loop can send.
func benchItem(i, n int) warmtest.Item {
	it := warmtest.Mixed(i, n)
	it.Key, it.Hit = fmt.Appendf(nil, "bench:%08d", i), false
	it.TTL = min(it.TTL, 86400*20)
	if len(it.Value) > 4000 {
		it.Value = it.Value[:4000]
	}
	return it
}

// loop sends batches over so many connections, three in flight on each, and gives the time.
func loop(t testing.TB, addr string, conns int, batches [][]byte) time.Duration {
	t.Helper()
	begun := time.Now()
	ended := make(chan error, conns)
	for c := range conns {
		go func() { ended <- one(addr, batches, c, conns) }()
	}
	for range conns {
		must(t, <-ended)
	}
	return time.Since(begun)
}

func one(addr string, batches [][]byte, from, step int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 256<<10)
	open := 0
	for at := from; at < len(batches); at += step {
		if _, err := c.Write(batches[at]); err != nil {
			return err
		}
		if open++; open == 3 {
			if err := toEnd(r); err != nil {
				return err
			}
			open--
		}
	}
	for range open {
		if err := toEnd(r); err != nil {
			return err
		}
	}
	return nil
}

// toEnd reads answers up to that of mn.
func toEnd(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("MN")) {
			return nil
		}
		if after, ok := bytes.CutPrefix(line, []byte("VA ")); ok {
			size, _, _ := bytes.Cut(after, []byte{' '})
			n, err := strconv.Atoi(string(size))
			if err != nil {
				return err
			}
			if _, err := r.Discard(n + 2); err != nil {
				return err
			}
		}
	}
}

// listing reads a whole list and throws it away.
func listing(t testing.TB, addr string) time.Duration {
	t.Helper()
	begun := time.Now()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	_, err = c.Write([]byte("lru_crawler metadump hash\r\n"))
	must(t, err)
	buf := make([]byte, 1<<20)
	var tail []byte
	for !bytes.HasSuffix(tail, []byte("END\r\n")) {
		n, err := c.Read(buf)
		must(t, err)
		tail = append(tail, buf[:n]...)
		tail = tail[max(0, len(tail)-5):]
	}
	return time.Since(begun)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
