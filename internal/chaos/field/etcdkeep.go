package field

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

const (
	rootPassword = "rootpw"
	passwordName = "password"
)

// Alarm raises or clears the alarm that the database is full: the service refuses all puts.
func (e *Etcd) Alarm(ctx context.Context, on bool) error {
	st, err := e.anyStatus(ctx)
	if err != nil {
		return err
	}
	action := "DEACTIVATE"
	if on {
		action = "ACTIVATE"
	}
	return e.call(ctx, "/v3/maintenance/alarm", object{"action": action, "memberID": st.Header.MemberID, "alarm": "NOSPACE"}, nil)
}

func (e *Etcd) anyStatus(ctx context.Context) (st etcdStatus, err error) {
	for i := range e.servers {
		if st, err = e.status(ctx, i); err == nil {
			return st, nil
		}
	}
	return st, err
}

// Compact drops all old revisions, and defragments every server, which stops it for that time.
func (e *Etcd) Compact(ctx context.Context) error {
	var now struct{ Header struct{ Revision string } }
	if err := e.call(ctx, "/v3/kv/range", object{"key": b64("health")}, &now); err != nil {
		return err
	}
	err := e.call(ctx, "/v3/kv/compaction", object{"revision": now.Header.Revision, "physical": true}, nil)
	errs := []error{ignore(err, "compacted")}
	for _, s := range e.servers {
		errs = append(errs, e.ask(ctx, s, "/v3/maintenance/defragment", object{}, nil))
	}
	return errors.Join(errs...)
}

// Auth switches authentication on or off. The contenders have no credentials: while it is on they are
// strangers.
func (e *Etcd) Auth(ctx context.Context, on bool) error {
	if !on {
		return e.authOff(ctx)
	}
	var errs []error
	for _, step := range []struct {
		path string
		in   object
	}{
		{"/v3/auth/user/add", object{"name": "root", "password": rootPassword}},
		{"/v3/auth/role/add", object{"name": "root"}},
		{"/v3/auth/user/grant", object{"user": "root", "role": "root"}},
		{"/v3/auth/enable", object{}},
	} {
		errs = append(errs, ignore(e.call(ctx, step.path, step.in, nil), "already exists"))
	}
	return errors.Join(errs...)
}

func (e *Etcd) authOff(ctx context.Context) error {
	return poll(ctx, "etcd's authentication cannot be switched off", func() error {
		var got struct{ Token string }
		err := e.call(ctx, "/v3/auth/authenticate", object{"name": "root", "password": rootPassword}, &got)
		if err != nil {
			return ignore(err, "authentication is not enabled")
		}
		return e.as(got.Token).call(ctx, "/v3/auth/disable", object{}, nil)
	})
}

func (e *Etcd) as(token string) *Etcd {
	return &Etcd{servers: e.servers, http: e.http, token: token}
}

// secure switches authentication on for good: from now on every order is root's, with a token of its own,
// for those that were given live for 5 s only.
func (e *Etcd) secure(ctx context.Context) error {
	if err := e.Auth(ctx, true); err != nil {
		return err
	}
	e.secured = true
	return nil
}

// Secured tells whether authentication is on for good.
func (e *Etcd) Secured() bool { return e.secured }

// login is root's token on a server.
func (e *Etcd) login(ctx context.Context, s *Server) (string, error) {
	if !e.secured {
		return e.token, nil
	}
	var got struct{ Token string }
	plain := e.as("")
	err := plain.ask(ctx, s, "/v3/auth/authenticate", object{"name": "root", "password": rootPassword}, &got)
	return got.Token, err
}

// ignore takes away an error of etcd's whose text is this: the gateway has no better sign.
func ignore(err error, text string) error {
	if err != nil && strings.Contains(fmt.Sprint(err), text) {
		return nil
	}
	return err
}
