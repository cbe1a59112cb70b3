package zk

import (
	"context"
	"fmt"
	"strings"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/lock"
)

// identity is who we are to the service, and what others may do with our nodes.
type identity struct {
	user, password string
	cert           bool
}

func identify(s lock.Settings) (identity, error) {
	id := identity{user: s.User, password: s.Password, cert: s.TLS.Cert != ""}
	switch {
	case strings.ContainsAny(s.User, ":\x00"):
		return id, fmt.Errorf("%w: --lock-user %q: expected a name without a colon", lock.ErrConfig, s.User)
	case s.User == "" && s.Password != "":
		return id, fmt.Errorf("%w: --lock-password-file without --lock-user: ZooKeeper's digest needs both", lock.ErrConfig)
	case s.User != "" && s.Password == "":
		return id, fmt.Errorf("%w: --lock-user %q without a password: give --lock-password-file", lock.ErrConfig, s.User)
	}
	return id, nil
}

func (id identity) digest() bool   { return id.user != "" }
func (id identity) secret() []byte { return []byte(id.user + ":" + id.password) }

// acl is that of lock keys, the lock's node and the record: the creator alone, if there is one. With a
// user it names that user and nothing else: the scheme "auth" would add each further identity of the
// connection, and whichever of them is withdrawn later, the other would still open the node.
func (id identity) acl() []gozk.ACL {
	switch {
	case id.digest():
		return gozk.DigestACL(gozk.PermAll, id.user, id.password)
	case id.cert:
		return gozk.AuthACL(gozk.PermAll)
	}
	return gozk.WorldACL(gozk.PermAll)
}

// parentACL is that of nodes above the lock's: everybody may add other locks there, only the creator
// may delete what is in it.
func (id identity) parentACL() []gozk.ACL {
	if !id.digest() && !id.cert {
		return id.acl()
	}
	return append(id.acl(), gozk.WorldACL(gozk.PermRead|gozk.PermCreate)...)
}

// denied says what to do about a refusal.
func (id identity) denied() string {
	switch {
	case id.digest():
		return fmt.Sprintf("the ACL does not let user %q in: check --lock-user and --lock-password-file, or take another path", id.user)
	case id.cert:
		return "the ACL does not let our certificate's subject in: check --lock-cert, or take another path"
	}
	return "the ACL asks for credentials and none were given: give --lock-user and --lock-password-file, or take another path"
}

// owner names who may use a node, as far as the service tells us.
func owner(ctx context.Context, l *link, path string) string {
	acl, err := call(ctx, l, func(c *gozk.Conn) ([]gozk.ACL, error) {
		acl, _, err := c.GetACL(path)
		return acl, err
	})
	if err != nil {
		return "somebody whose ACL we may not read"
	}
	var ids []string
	for _, a := range acl {
		id := a.ID
		if a.Scheme == "digest" { // the rest is the password's hash
			id, _, _ = strings.Cut(id, ":")
		}
		ids = append(ids, a.Scheme+":"+id)
	}
	return strings.Join(ids, ", ")
}
