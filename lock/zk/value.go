package zk

import (
	"bytes"
	"encoding/json"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/lock"
)

// valuePrefix tells our keys from other programs' (protocol.md section 6).
const valuePrefix = "interlock "

// A keyValue is what a key says about its contender, for people.
type keyValue struct {
	Holder string    `json:"holder"`
	Node   string    `json:"node,omitempty"`
	Since  time.Time `json:"since"`
}

func (d *driver) value() ([]byte, error) {
	b, err := json.Marshal(keyValue{d.set.Holder, d.set.Node, time.Now().UTC().Truncate(time.Millisecond)})
	return append([]byte(valuePrefix), b...), err
}

// ours tells whether a key was made by an interlock.
func ours(data []byte) bool { return bytes.HasPrefix(data, []byte(valuePrefix)) }

// waiter describes a key. What another program wrote is shown as it stands, shortened.
func waiter(name string, data []byte, stat *gozk.Stat) lock.Waiter {
	w := lock.Waiter{Key: name, Since: time.UnixMilli(stat.Ctime)}
	if t, err := fence.NewToken(0, stat.Czxid); err == nil {
		w.Token = t
	}
	w.Foreign = !ours(data)
	var v keyValue
	if ours(data) && json.Unmarshal(data[len(valuePrefix):], &v) == nil {
		w.Holder = v.Holder
		return w
	}
	w.Holder = printable(data)
	return w
}

// printable keeps foreign bytes from a terminal.
func printable(data []byte) string {
	const most = 100
	out := make([]rune, 0, most)
	for _, r := range string(data) {
		if len(out) == most {
			break
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r <= 0x9f {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
