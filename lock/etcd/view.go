package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/lock"
)

// View reads queue and record at one revision. etcd keeps no times: the age of the record is that of the
// first key's last keep-alive, which goes with the heartbeat, in whole seconds; zero if nobody holds.
func (d *driver) View(ctx context.Context) (lock.View, error) {
	var v lock.View
	var lease int64
	err := d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Txn(ctx).Then(clientv3.OpGet(d.prefix(), queueOrder()...), clientv3.OpGet(d.record())).Commit()
		if err != nil {
			return err
		}
		queue := found(resp.Responses[0])
		v = lock.View{Queue: waiters(queue), Record: stored(found(resp.Responses[1]))}
		if len(queue) > 0 {
			lease = queue[0].Lease
		}
		return nil
	})
	if err != nil {
		return lock.View{}, fmt.Errorf("cannot look at lock %q: %w", d.name, err)
	}
	if lease != 0 && v.Record.Exists() {
		v.RecordAge = d.sinceKeepAlive(ctx, clientv3.LeaseID(lease))
	}
	return v, nil
}

// sinceKeepAlive is for people: what cannot be learned is zero.
func (d *driver) sinceKeepAlive(ctx context.Context, id clientv3.LeaseID) time.Duration {
	var age time.Duration
	err := d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.TimeToLive(ctx, id)
		if err == nil && resp.TTL > 0 {
			age = time.Duration(max(0, resp.GrantedTTL-resp.TTL)) * time.Second
		}
		return err
	})
	if err != nil {
		d.s.Log("the age of the holder's lease is not known", "cause", err)
	}
	return age
}
