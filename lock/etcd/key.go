package etcd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/lock"
)

// mark begins the value of each key of ours; a key without it belongs to another program.
const mark = "interlock "

// keyValue is what our key says about us, for people.
type keyValue struct {
	Holder string    `json:"holder"`
	Node   string    `json:"node"`
	Start  time.Time `json:"start"`
}

func encodeKey(s lock.Settings) (string, error) {
	data, err := json.Marshal(keyValue{Holder: s.Holder, Node: s.Node, Start: time.Now().UTC().Truncate(time.Millisecond)})
	if err != nil {
		return "", fmt.Errorf("%w: etcd: holder %q or node %q cannot be written: %w", lock.ErrConfig, s.Holder, s.Node, err)
	}
	return mark + string(data), nil
}

func ours(kv *mvccpb.KeyValue) bool { return bytes.HasPrefix(kv.Value, []byte(mark)) }

// waiter describes a key in the queue. What it says of itself is not needed for anything but messages,
// so that an unreadable value leaves the holder empty.
func waiter(kv *mvccpb.KeyValue) lock.Waiter {
	w := lock.Waiter{Key: string(kv.Key), Token: fence.Token(kv.CreateRevision), Foreign: !ours(kv)}
	var v keyValue
	if ours(kv) && json.Unmarshal(kv.Value[len(mark):], &v) == nil {
		w.Holder, w.Since = v.Holder, v.Start
	}
	return w
}

func waiters(kvs []*mvccpb.KeyValue) []lock.Waiter {
	ws := make([]lock.Waiter, len(kvs))
	for i, kv := range kvs {
		ws[i] = waiter(kv)
	}
	return ws
}

// version of a record that exists: the revision of its last write, unique for ever.
func version(rev int64) lock.Version { return lock.Version{CAS: rev, Seen: rev} }

// stored is the record in a reply, zero if there is none.
func stored(kvs []*mvccpb.KeyValue) lock.Stored {
	if len(kvs) == 0 {
		return lock.Stored{}
	}
	return lock.Stored{Data: kvs[0].Value, Version: version(kvs[0].ModRevision)}
}
