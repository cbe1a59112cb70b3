package dump_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/dump"
)

// dumperRole is a process that dumps and nothing else, for tests that stop it.
const dumperRole = "test-dumper"

// dumper makes one dump, with the options in its argument.
func dumper(args []string) int {
	var o dump.Options
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 64
	}
	o.Note = func(text string) { fmt.Fprintln(os.Stderr, text) }
	if _, err := dump.Dump(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// binarySet stores over the binary protocol, which takes keys that the text protocol does not.
func binarySet(t *testing.T, kit *testkit.MemcachedServer, key []byte, value string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", kit.Addr(), 5*time.Second)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	head := make([]byte, 24, 300)
	head[0], head[1], head[4] = 0x80, 0x01, 8
	binary.BigEndian.PutUint16(head[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(head[8:], uint32(8+len(key)+len(value)))
	request := append(append(append(head, make([]byte, 8)...), key...), value...)
	_, err = c.Write(request)
	must(t, err)
	answer := make([]byte, 24)
	_, err = io.ReadFull(c, answer)
	must(t, err)
	if status := binary.BigEndian.Uint16(answer[6:]); status != 0 {
		t.Fatalf("binary set: status %d", status)
	}
}
