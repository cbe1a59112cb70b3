package zk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/lock"
)

// Diagnose asks each server for what it is, and one session for what it may do. It creates nothing:
// rights are tried in transactions that are made to fail at their end.
func (d *driver) Diagnose(ctx context.Context) []lock.Diagnosis {
	ctx, cancel := d.bound(ctx)
	defer cancel()
	var lines []lock.Diagnosis
	for _, h := range d.hosts {
		lines = append(lines, d.askServer(ctx, h))
	}
	err := d.onSession(ctx, func(ctx context.Context, s *session, l *link) error {
		lines = append(lines, d.timeouts(s.known().granted, l.server), d.mayJoin(ctx, l), d.mayWrite(ctx, l))
		return nil
	})
	if err != nil {
		lines = append(lines, lock.Diagnosis{Level: "fail", What: err.Error(), Do: "check the URL, the servers and the network between; then credentials and TLS files"})
	}
	return lines
}

func ok(format string, args ...any) lock.Diagnosis {
	return lock.Diagnosis{Level: "ok", What: fmt.Sprintf(format, args...)}
}

// askServer sends srvr, the only one of the four-letter words that servers allow by default.
func (d *driver) askServer(ctx context.Context, h host) lock.Diagnosis {
	ctx, cancel := d.try(ctx)
	defer cancel()
	conn, err := dial(ctx, target{host: h, addr: h.String()}, d.set.TLS)
	if err != nil {
		return lock.Diagnosis{Level: "warn", What: fmt.Sprintf("%s: not reached: %v", h, err), Do: "one server of several may be down; if it should not be, check it, its address and TLS"}
	}
	defer hangUp(conn)
	text, err := fourLetters(ctx, conn, "srvr")
	facts := srvr(text)
	switch {
	case err != nil:
		return lock.Diagnosis{Level: "warn", What: fmt.Sprintf("%s: reached, but no answer to srvr: %v", h, err), Do: "check whether it hangs, and whether the port wants TLS or another client certificate"}
	case facts["Mode"] == "":
		return ok("%s: reached; its version is not told (srvr is not in 4lw.commands.whitelist, or it has no quorum)", h)
	case facts["Mode"] == "read-only":
		return lock.Diagnosis{Level: "warn", What: fmt.Sprintf("%s: read-only, it sees no quorum", h), Do: "check the ensemble's other servers"}
	}
	number, _, _ := strings.Cut(facts["Zookeeper version"], ",")
	return ok("%s: ZooKeeper %s, %s", h, number, facts["Mode"])
}

func fourLetters(ctx context.Context, conn net.Conn, word string) (string, error) {
	if at, bounded := ctx.Deadline(); bounded {
		if err := conn.SetDeadline(at); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	if len(b) > 0 {
		err = nil // some servers reset the connection behind their answer
	}
	return string(b), err
}

// srvr splits the answer's lines.
func srvr(text string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(line, ": "); found {
			facts[name] = strings.TrimSpace(value)
		}
	}
	return facts
}

// timeouts compares what the session was granted with what was asked. It is no matter of safety.
func (d *driver) timeouts(granted time.Duration, server string) lock.Diagnosis {
	asked := d.set.Timing.ServerTimeout()
	switch {
	case granted > asked:
		return lock.Diagnosis{Level: "warn", What: fmt.Sprintf("session timeout: asked %s for %v, granted %v: a take-over after a crash waits the longer one", server, asked, granted),
			Do: "lower minSessionTimeout (or tickTime) of the servers, or raise --hold to it"}
	case granted < asked:
		return lock.Diagnosis{Level: "warn", What: fmt.Sprintf("session timeout: asked %s for %v, granted %v: the lock may be lost before the hold is over", server, asked, granted),
			Do: "raise maxSessionTimeout of the servers, or lower --hold to it"}
	}
	return ok("session timeout: %v, as asked", granted)
}

// impossible is a version that no node has, so that the transaction it ends never commits.
const impossible = -2

// mayJoin tries to create what Join creates.
func (d *driver) mayJoin(ctx context.Context, l *link) lock.Diagnosis {
	var ops []any
	parts := strings.Split(d.path[1:], "/")
	for i := range parts {
		node, acl := "/"+strings.Join(parts[:i+1], "/"), d.ident.parentACL()
		if node == d.path {
			acl = d.ident.acl()
		}
		stat, err := exists(ctx, l, node)
		if err != nil {
			return d.unknown(err, "look for "+node)
		}
		if stat == nil {
			ops = append(ops, &gozk.CreateRequest{Path: node, Acl: acl})
		}
	}
	ops = append(ops, &gozk.CreateRequest{Path: d.path + "/" + freshPrefix(), Acl: d.ident.acl(), Flags: gozk.FlagEphemeralSequential})
	return d.rehearse(ctx, l, ops, d.path, "create keys below "+d.path)
}

// mayWrite tries to write the record, or to create it.
func (d *driver) mayWrite(ctx context.Context, l *link) lock.Diagnosis {
	stored, err := d.stored(ctx, l)
	what := "read and write the state record " + d.record
	if err != nil {
		return d.refusal(ctx, l, err, d.record, what)
	}
	if !stored.Exists() {
		return ok("there is no state record yet: the first start waits the hold, unless `interlock lock init` comes before it")
	}
	ops := []any{&gozk.SetDataRequest{Path: d.record, Data: stored.Data, Version: -1}}
	return d.rehearse(ctx, l, ops, d.record, what)
}

// rehearse sends operations and behind them one that must fail: where the transaction fails tells
// whether the service would have done the rest.
func (d *driver) rehearse(ctx context.Context, l *link, ops []any, node, what string) lock.Diagnosis {
	ops = append(ops, &gozk.CheckVersionRequest{Path: "/", Version: impossible})
	got, err := call(ctx, l, func(c *gozk.Conn) ([]gozk.MultiResponse, error) { return c.Multi(ops...) })
	at, first := firstError(got)
	if at == len(ops)-1 && first != nil {
		return ok("may %s", what)
	}
	return d.refusal(ctx, l, err, node, what)
}

func (d *driver) refusal(ctx context.Context, l *link, err error, node, what string) lock.Diagnosis {
	if errors.Is(err, gozk.ErrNoAuth) {
		return lock.Diagnosis{Level: "fail", What: fmt.Sprintf("may not %s; %s belongs to %s", what, node, owner(ctx, l, node)), Do: d.ident.denied()}
	}
	return d.unknown(err, what)
}

func (d *driver) unknown(err error, what string) lock.Diagnosis {
	return lock.Diagnosis{Level: "fail", What: fmt.Sprintf("cannot tell whether we may %s: %v", what, err), Do: "run doctor again; if it stays, look into the servers' logs"}
}
