package field

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	zkClient, zkPeer, zkVote = 2181, 2888, 3888
	zkLock                   = "/chaos/lock"
	zkJars                   = "/usr/share/java"
	zkClass                  = zkJars + "/zookeeper.jar:" + zkJars + "/slf4j-simple.jar"
)

// ZooKeeper is the service as its own shell sees it.
type ZooKeeper struct{ field *Field }

func (f *Field) zooKeeper() error {
	z := &ZooKeeper{f}
	for i, s := range f.Servers {
		cfg, err := f.zooConfig(i)
		if err != nil {
			return err
		}
		s.log = filepath.Join(f.Dir, s.Name+".log")
		s.args = []string{"java", "-Xmx128m", "-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData",
			"-Djava.net.preferIPv4Stack=true", "-Dzookeeper.4lw.commands.whitelist=*", "-Dzookeeper.admin.enableServer=false",
			"-Dzookeeper.jmx.log4j.disable=true", "-Dzookeeper.forceSync=no",
			"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
			"-cp", zkClass, "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfg}
		s.ready = func(ctx context.Context) error { return z.serves(ctx, i) }
	}
	f.Service = z
	return nil
}

func (f *Field) zooConfig(i int) (string, error) {
	dir := f.serverDir(f.Servers[i])
	lines := []string{"tickTime=200", "initLimit=25", "syncLimit=10", "minSessionTimeout=400", "maxSessionTimeout=60000",
		"maxClientCnxns=0", "dataDir=" + dir, "clientPortAddress=" + f.Servers[i].Node.Addr.String(),
		fmt.Sprintf("clientPort=%d", zkClient), "preAllocSize=1024", "snapCount=10000", "autopurge.purgeInterval=0",
		"standaloneEnabled=false"}
	for k, s := range f.Servers {
		lines = append(lines, fmt.Sprintf("server.%d=%s:%d:%d", k+1, s.Node.Addr, zkPeer, zkVote))
	}
	cfg := filepath.Join(dir, "zoo.cfg")
	return cfg, errors.Join(os.WriteFile(filepath.Join(dir, "myid"), []byte(fmt.Sprint(i+1)), 0o644),
		os.WriteFile(cfg, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
}

// URL names all three servers.
func (z *ZooKeeper) URL() string { return "zk://" + strings.Join(z.hosts(), ",") + zkLock }

func (z *ZooKeeper) hosts() []string {
	var hosts []string
	for _, s := range z.field.Servers {
		hosts = append(hosts, z.host(s))
	}
	return hosts
}

func (z *ZooKeeper) host(s *Server) string { return fmt.Sprintf("%s:%d", s.Node.Addr, zkClient) }

// mode is what a server says that it is: leader, follower, or nothing while it does not serve.
func (z *ZooKeeper) mode(ctx context.Context, i int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := z.field.ops.Dial(ctx, "tcp", z.host(z.field.Servers[i]))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return "", err
	}
	out, err := io.ReadAll(conn)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if mode, ok := strings.CutPrefix(strings.TrimSpace(line), "Mode: "); ok {
			return mode, nil
		}
	}
	return "", fmt.Errorf("it does not serve: %q", out)
}

func (z *ZooKeeper) serves(ctx context.Context, i int) error {
	_, err := z.mode(ctx, i)
	return err
}

// Leader is the index of the server that says that it leads.
func (z *ZooKeeper) Leader(ctx context.Context) (int, error) {
	for i := range z.field.Servers {
		if mode, err := z.mode(ctx, i); err == nil && mode == "leader" {
			return i, nil
		}
	}
	return 0, errors.New("no ZooKeeper server says that it leads")
}

// Healthy does a write through the quorum.
func (z *ZooKeeper) Healthy(ctx context.Context) error {
	return z.with(ctx, func(c *zk.Conn) error { _, err := c.Sync("/"); return err })
}

// Queue lists the lock nodes by their sequence.
func (z *ZooKeeper) Queue(ctx context.Context) (keys []Key, err error) {
	err = z.with(ctx, func(c *zk.Conn) error {
		names, _, err := c.Children(zkLock)
		slices.SortFunc(names, func(a, b string) int { return cmp.Compare(sequence(a), sequence(b)) })
		for _, n := range names {
			keys = append(keys, Key{Name: zkLock + "/" + n})
		}
		return err
	})
	return keys, err
}

func sequence(name string) string { return name[strings.LastIndex(name, "-")+1:] }

// Remove is the shell's delete.
func (z *ZooKeeper) Remove(ctx context.Context, k Key) error {
	return z.with(ctx, func(c *zk.Conn) error { return absentIsFine(c.Delete(k.Name, -1)) })
}

// RemoveRecord is the shell's delete of the state record.
func (z *ZooKeeper) RemoveRecord(ctx context.Context) error {
	return z.with(ctx, func(c *zk.Conn) error { return absentIsFine(c.Delete(zkLock+".interlock", -1)) })
}

func absentIsFine(err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

type silence struct{}

func (silence) Printf(string, ...any) {}

// with opens a session for one operation; the context bounds it, closing the session ends the operation.
func (z *ZooKeeper) with(ctx context.Context, op func(*zk.Conn) error) error {
	dial := func(network, addr string, limit time.Duration) (net.Conn, error) {
		dctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return z.field.ops.Dial(dctx, network, addr)
	}
	c, _, err := zk.Connect(z.hosts(), 5*time.Second, zk.WithLogger(silence{}), zk.WithDialer(dial))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- op(c) }()
	select {
	case err = <-done:
		c.Close()
		return err
	case <-ctx.Done():
		c.Close()
		return errors.Join(ctx.Err(), <-done)
	}
}
