package field

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/wire"
)

const (
	etcdClient, etcdPeer = 2379, 2380
	etcdLock             = "chaos/lock"
)

// Etcd is the service as etcdctl sees it, through the server's own JSON gateway.
type Etcd struct {
	servers []*Server
	http    *http.Client
	secured bool
	token   string // of the user root, for calls made as root
}

func (f *Field) serverDir(s *Server) string { return filepath.Join(f.own.shared, s.Name) }

func (f *Field) etcd() error {
	binary := f.Etcd
	if binary == "" {
		binary = "etcd"
	}
	var cluster []string
	for _, s := range f.Servers {
		cluster = append(cluster, fmt.Sprintf("%s=http://%s:%d", s.Name, s.Node.Addr, etcdPeer))
	}
	e := &Etcd{servers: f.Servers, http: inside(f.ops)}
	for i, s := range f.Servers {
		client := fmt.Sprintf("http://%s:%d", s.Node.Addr, etcdClient)
		peer := fmt.Sprintf("http://%s:%d", s.Node.Addr, etcdPeer)
		s.args = []string{binary, "--name", s.Name, "--data-dir", filepath.Join(f.serverDir(s), "data"),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(cluster, ","),
			"--logger", "zap", "--log-level", "warn", "--heartbeat-interval", "50", "--election-timeout", "500",
			"--quota-backend-bytes", "134217728", "--auth-token-ttl", "5"}
		s.log = filepath.Join(f.Dir, s.Name+".log")
		s.ready = func(ctx context.Context) error { return e.answers(ctx, i) }
	}
	f.Service = e
	return nil
}

// inside is a client in a namespace. A connection each: one that is kept would hide a fault that has ended.
func inside(node *wire.Node) *http.Client {
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: node.Dial}}
}

// URL names all three servers.
func (e *Etcd) URL() string {
	var hosts []string
	for _, s := range e.servers {
		hosts = append(hosts, fmt.Sprintf("%s:%d", s.Node.Addr, etcdClient))
	}
	return "etcd://" + strings.Join(hosts, ",") + "/" + etcdLock
}

// Healthy asks for a linearizable read.
func (e *Etcd) Healthy(ctx context.Context) error {
	return e.call(ctx, "/v3/kv/range", object{"key": b64("health")}, nil)
}

// answers asks one server for a linearizable read.
func (e *Etcd) answers(ctx context.Context, i int) error {
	return e.ask(ctx, e.servers[i], "/v3/kv/range", object{"key": b64("health")}, nil)
}

// Leader is the index of the server that says that it leads.
func (e *Etcd) Leader(ctx context.Context) (int, error) {
	for i := range e.servers {
		st, err := e.status(ctx, i)
		if err == nil && st.Leader != "" && st.Leader == st.Header.MemberID {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no etcd server says that it leads")
}

type etcdStatus struct {
	Header struct {
		MemberID string `json:"member_id"`
	}
	Leader string
}

func (e *Etcd) status(ctx context.Context, i int) (st etcdStatus, err error) {
	err = e.ask(ctx, e.servers[i], "/v3/maintenance/status", object{}, &st)
	return st, err
}

// MoveLeader makes another server lead.
func (e *Etcd) MoveLeader(ctx context.Context, to int) error {
	from, err := e.Leader(ctx)
	if err != nil || from == to {
		return err
	}
	st, err := e.status(ctx, to)
	if err != nil {
		return err
	}
	return e.ask(ctx, e.servers[from], "/v3/maintenance/transfer-leadership", object{"targetID": st.Header.MemberID}, nil)
}

// Queue lists the lock keys in the order of their creation.
func (e *Etcd) Queue(ctx context.Context) ([]Key, error) {
	var got struct{ Kvs []struct{ Key, Lease string } }
	prefix := etcdLock + "/"
	end := prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
	err := e.call(ctx, "/v3/kv/range", object{"key": b64(prefix), "range_end": b64(end), "keys_only": true,
		"sort_target": "CREATE", "sort_order": "ASCEND"}, &got)
	var keys []Key
	for _, kv := range got.Kvs {
		name, derr := base64.StdEncoding.DecodeString(kv.Key)
		if derr != nil {
			return nil, derr
		}
		k := Key{Name: string(name)}
		if _, serr := fmt.Sscan(kv.Lease, &k.Lease); serr != nil {
			return nil, fmt.Errorf("lease %q of %s: %w", kv.Lease, name, serr)
		}
		keys = append(keys, k)
	}
	return keys, err
}

// Remove is `etcdctl del`.
func (e *Etcd) Remove(ctx context.Context, k Key) error { return e.del(ctx, k.Name) }

// RemoveRecord is `etcdctl del` of the state record.
func (e *Etcd) RemoveRecord(ctx context.Context) error { return e.del(ctx, etcdLock+".interlock") }

func (e *Etcd) del(ctx context.Context, key string) error {
	return e.call(ctx, "/v3/kv/deleterange", object{"key": b64(key)}, nil)
}

// Revoke is `etcdctl lease revoke`.
func (e *Etcd) Revoke(ctx context.Context, k Key) error {
	return e.call(ctx, "/v3/lease/revoke", object{"ID": fmt.Sprint(k.Lease)}, nil)
}
