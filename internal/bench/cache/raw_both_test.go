//go:build bench

package cache

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// listAndFetch is the raw loop that does what a dump must: it lists, and fetches what was listed, in that
// order. It keeps nothing, and keeps the whole list in memory.
func listAndFetch(t testing.TB, addr string, conns int) time.Duration {
	t.Helper()
	begun := time.Now()
	list := wholeList(t, addr)
	var batches [][]byte
	b, in := make([]byte, 0, 16<<10), 0
	for len(list) > 0 {
		var line []byte
		line, list, _ = bytes.Cut(list, []byte{'\n'})
		key, found := bytes.CutPrefix(line, []byte("key="))
		if !found {
			continue
		}
		key, _, _ = bytes.Cut(key, []byte{' '})
		b = append(append(append(b, "mg "...), unescaped(key)...), " u f t v\r\n"...)
		if in++; in == batchItems {
			batches, b, in = append(batches, append(b, "mn\r\n"...)), make([]byte, 0, 16<<10), 0
		}
	}
	batches = append(batches, append(b, "mn\r\n"...))
	loop(t, addr, conns, batches)
	return time.Since(begun)
}

// unescaped decodes a key; most have nothing to decode.
func unescaped(key []byte) []byte {
	if bytes.IndexByte(key, '%') < 0 {
		return key
	}
	text, err := url.PathUnescape(string(key))
	if err != nil {
		return key // a miss
	}
	return []byte(text)
}

// wholeList reads a list into memory.
func wholeList(t testing.TB, addr string) []byte {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	_, err = fmt.Fprint(c, "lru_crawler metadump hash\r\n")
	must(t, err)
	list := make([]byte, 0, 1<<20)
	for !bytes.HasSuffix(list, []byte("END\r\n")) {
		if cap(list)-len(list) < 256<<10 {
			list = append(make([]byte, 0, 2*cap(list)), list...)
		}
		n, err := c.Read(list[len(list):cap(list)])
		must(t, err)
		list = list[:len(list)+n]
	}
	if strings.HasPrefix(string(list[:min(len(list), 4)]), "END") {
		t.Fatal("an empty list")
	}
	return list
}
