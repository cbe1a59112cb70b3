package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/interlock-run/interlock/lock"
)

// inquireEvery is the pause after which members are asked again whose version was not told.
const inquireEvery = time.Minute

// inquire asks all members for their version and says what is known to be wrong with it, each thing once.
// It runs beside the first join, which must not wait for a member that is down.
func (d *driver) inquire() {
	told := map[string]bool{}
	for d.ctx.Err() == nil {
		found := d.ask(d.ctx)
		d.mu.Lock()
		d.findings = found
		d.mu.Unlock()
		open := false
		for _, f := range found {
			if !told[f.What] && d.ctx.Err() == nil {
				told[f.What] = true
				d.warn(f.What, "do", f.Do)
			}
			open = open || strings.HasSuffix(f.What, notKnown)
		}
		if !open {
			return
		}
		rest(d.ctx, inquireEvery)
	}
}

func (d *driver) warn(msg string, args ...any) {
	if d.s.Warn != nil {
		d.s.Warn(msg, args...)
		return
	}
	d.s.Log(msg, args...)
}

// Findings are those of the last inquiry; none before it has ended.
func (d *driver) Findings() []lock.Diagnosis {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.findings)
}

// ask gives what is wrong, or not known, about the members' versions.
func (d *driver) ask(ctx context.Context) []lock.Diagnosis {
	var found []lock.Diagnosis
	met := map[uint64]bool{}
	for _, e := range d.conns.all {
		s, err := d.statusOf(ctx, e)
		if err == nil {
			met[s.GetHeader().GetMemberId()] = true
		} else {
			d.s.Log("an etcd server does not tell its version", "server", e.addr, "cause", err)
		}
		if v := d.judgeVersion(e.addr, s.GetVersion()); v.Level != ok {
			found = append(found, v)
		}
	}
	return append(found, d.strangers(ctx, met)...)
}

// statusOf asks one server, and nobody in its place.
func (d *driver) statusOf(ctx context.Context, e *endpoint) (*pb.StatusResponse, error) {
	try, cancel := context.WithTimeout(ctx, d.bound)
	defer cancel()
	if err := d.conns.connected(try, e); err != nil {
		return nil, err
	}
	var s *pb.StatusResponse
	err := d.on(try, ctx, e, func(ctx context.Context, e *endpoint) error {
		var err error
		s, err = pb.NewMaintenanceClient(e.conn()).Status(ctx, &pb.StatusRequest{})
		return err
	})
	return s, err
}

// strangers are the members that are not among our servers, so that nobody asked them.
func (d *driver) strangers(ctx context.Context, met map[uint64]bool) []lock.Diagnosis {
	if len(met) == 0 {
		return nil // none answers: each of ours is said to be unknown already
	}
	var found []lock.Diagnosis
	err := d.do(ctx, func(ctx context.Context, e *endpoint) error {
		r, err := pb.NewClusterClient(e.conn()).MemberList(ctx, &pb.MemberListRequest{})
		for _, m := range r.GetMembers() {
			if !met[m.GetID()] && !d.listed(m.GetClientURLs()) {
				found = append(found, unknownVersion(fmt.Sprintf("member %s (%s), which the lock's URL does not list", m.GetName(), strings.Join(m.GetClientURLs(), ","))))
			}
		}
		return err
	})
	if err != nil {
		d.s.Log("etcd does not tell its members", "cause", err)
	}
	return found
}

// listed tells a member that we asked in vain.
func (d *driver) listed(urls []string) bool {
	return slices.ContainsFunc(d.conns.all, func(e *endpoint) bool {
		return slices.ContainsFunc(urls, func(u string) bool { return strings.HasSuffix(u, "://"+e.addr) })
	})
}

// notKnown ends each finding that a later answer may settle.
const notKnown = "its version is not known, nor whether it may revoke leases early"

func unknownVersion(who string) lock.Diagnosis {
	return lock.Diagnosis{Level: warn, What: fmt.Sprintf("etcd %s: %s", who, notKnown), Do: "see that it runs one of " + leaseFixes + " or later"}
}

// judgeVersion is the line about one server; ok if nothing is wrong.
func (d *driver) judgeVersion(addr, version string) lock.Diagnosis {
	switch leaseDefect(version) {
	case sound:
		return lock.Diagnosis{Level: ok, What: fmt.Sprintf("etcd %s answers, version %s", addr, version)}
	case defective:
		means := "no two holders run at once by that, but a holder can lose the lock early"
		if d.s.Foreign {
			means = "a holder can lose the lock early, and another program then holds it before we know"
		}
		return lock.Diagnosis{Level: warn, What: fmt.Sprintf("etcd %s, version %s: may revoke leases early after it hung or lost its quorum (etcd issue 15247): %s", addr, version, means),
			Do: "update to one of " + leaseFixes + " or later"}
	}
	if version == "" {
		return unknownVersion(addr)
	}
	return unknownVersion(fmt.Sprintf("%s says %.60q", addr, version))
}
