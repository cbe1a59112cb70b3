package etcd

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"

	"github.com/interlock-run/interlock/lock"
)

const (
	ok   = "ok"
	warn = "warn"
	fail = "fail"
)

// Diagnose asks each server for itself, then tries our rights without writing anything.
func (d *driver) Diagnose(ctx context.Context) []lock.Diagnosis {
	var lines []lock.Diagnosis
	met := map[uint64]bool{}
	for _, e := range d.conns.all {
		ls, member, up := d.diagnoseServer(ctx, e)
		lines = append(lines, ls...)
		if up {
			met[member] = true
		}
	}
	if len(met) == 0 {
		return lines
	}
	lines = append(lines, d.strangers(ctx, met)...)
	return append(append(lines, d.diagnoseRights(ctx)), d.diagnoseAlarms(ctx)...)
}

func (d *driver) diagnoseServer(ctx context.Context, e *endpoint) (lines []lock.Diagnosis, member uint64, up bool) {
	s, err := d.statusOf(ctx, e)
	if err != nil {
		return []lock.Diagnosis{{Level: fail, What: err.Error(), Do: wayOut(err)}}, 0, false
	}
	return []lock.Diagnosis{d.judgeVersion(e.addr, s.GetVersion()), d.diagnoseSize(e.addr, s)}, s.GetHeader().GetMemberId(), true
}

// connected waits for this server alone.
func (c *conns) connected(ctx context.Context, e *endpoint) error {
	for {
		s := e.conn().GetState()
		if s == connectivity.Ready {
			return nil
		}
		e.conn().Connect()
		if !e.conn().WaitForStateChange(ctx, s) {
			return c.down(ctx, e)
		}
	}
}

func wayOut(err error) string {
	switch {
	case errors.Is(err, lock.ErrCredentials):
		return "correct user, password, certificate or role as said"
	case noSpace(err):
		return "compact, defragment, then `etcdctl alarm disarm`"
	}
	return "start this server, or correct its address, port or the TLS settings"
}

// diagnoseRights reads what we read, and sends a transaction that would write what we write but cannot:
// the server checks the rights of both branches before it compares.
func (d *driver) diagnoseRights(ctx context.Context) lock.Diagnosis {
	err := d.do(ctx, func(ctx context.Context, e *endpoint) error {
		probe := d.prefix() + "doctor"
		_, err := e.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(probe), "<", 0)).
			Then(clientv3.OpPut(probe, ""), clientv3.OpPut(d.record(), "")).
			Else(clientv3.OpGet(d.prefix(), clientv3.WithPrefix(), clientv3.WithCountOnly()), clientv3.OpGet(d.record(), clientv3.WithCountOnly())).
			Commit()
		return err
	})
	if err != nil {
		return lock.Diagnosis{Level: fail, What: err.Error(), Do: wayOut(err)}
	}
	return lock.Diagnosis{Level: ok, What: fmt.Sprintf("%s may read and write %s and %s", d.who(), d.prefix(), d.record())}
}

// diagnoseAlarms lists what stops writes for everybody.
func (d *driver) diagnoseAlarms(ctx context.Context) []lock.Diagnosis {
	var alarms []*pb.AlarmMember
	err := d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.AlarmList(ctx)
		if err == nil {
			alarms = resp.Alarms
		}
		return err
	})
	if err != nil {
		return []lock.Diagnosis{{Level: warn, What: "alarms are not known: " + err.Error(), Do: "ask with `etcdctl alarm list`"}}
	}
	lines := []lock.Diagnosis{}
	for _, a := range alarms {
		lines = append(lines, lock.Diagnosis{Level: fail, What: fmt.Sprintf("etcd member %x has alarm %s", a.MemberID, a.Alarm), Do: "mend its cause (NOSPACE: compact, defragment), then `etcdctl alarm disarm`"})
	}
	if len(alarms) == 0 {
		lines = append(lines, lock.Diagnosis{Level: ok, What: "etcd has no alarm"})
	}
	return lines
}
