package foreign

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// session is the timeout that the peers ask for.
const session = 4 * time.Second

// A kind is one kind of peer. Its argv waits for the lock, runs the tracing payload under a token that is
// comparable with ours, and releases when that ends.
type kind struct {
	name string
	zk   bool
	argv func(t testing.TB, r *rig) []string
}

func kinds() []kind {
	kazoo := func(pattern string) func(testing.TB, *rig) []string {
		return func(t testing.TB, r *rig) []string {
			return append([]string{python(t), "testdata/peer.py", r.server, r.path(), fmt.Sprint(session.Seconds()), pattern}, r.payload(t)...)
		}
	}
	return []kind{
		{"etcdctl", false, etcdctl},
		{"kazoo", true, kazoo("")},
		{"kazoo-pattern", true, kazoo("lock-")},
		{"curator", true, curator},
	}
}

// etcdctl gives its command the key; the token is the key's create revision.
func etcdctl(t testing.TB, r *rig) []string {
	script := `set -e; INTERLOCK_TOKEN=$(etcdctl --endpoints "$0" get -w json "$ETCD_LOCK_KEY" | sed 's/.*"create_revision":\([0-9]*\).*/\1/')
		export INTERLOCK_TOKEN; exec "$@"`
	argv := []string{"etcdctl", "--endpoints", r.server, "lock", "--ttl", strconv.Itoa(int(session.Seconds())), r.path(), "--", "sh", "-c", script, r.server}
	return append(argv, r.payload(t)...)
}

func python(t testing.TB) string {
	t.Helper()
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import kazoo").Run() == nil {
			return p
		}
	}
	testkit.Skip(t, "kazoo", "no python3 with kazoo (Debian: python3-kazoo)")
	return ""
}

const (
	jars    = "/usr/share/java/"
	recipes = jars + "curator-recipes.jar"
)

func curator(t testing.TB, r *rig) []string {
	argv := []string{"java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp", classes(t),
		"Peer", r.server, r.path(), fmt.Sprint(session.Milliseconds())}
	return append(argv, r.payload(t)...)
}

var compiled struct {
	sync.Once
	path string
	err  error
}

// classes is the class path of the Java peer, which fresh has compiled.
func classes(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat(recipes); err != nil {
		testkit.Skip(t, "curator", recipes+" is not there (Debian: libcurator-recipes-java)")
	}
	if _, err := exec.LookPath("javac"); err != nil {
		testkit.Skip(t, "curator", "no javac (Debian: openjdk-17-jdk-headless)")
	}
	if compiled.err != nil {
		t.Fatal(compiled.err)
	}
	return compiled.path
}

func compile() (string, error) {
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		return "", err
	}
	all := strings.Join([]string{recipes, jars + "curator-framework.jar", jars + "curator-client.jar", jars + "zookeeper.jar", jars + "slf4j-nop.jar"}, ":")
	out, err := exec.Command("javac", "-cp", all, "-d", dir, "testdata/Peer.java").CombinedOutput()
	if err != nil {
		err = errors.Join(err, errors.New(string(out)))
	}
	return dir + ":" + all, err
}

// A peer is one process that contends.
type peer struct {
	*testkit.Process
	r *rig
}

func (r *rig) peer(t testing.TB, k kind) peer {
	t.Helper()
	argv := k.argv(t, r)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	return peer{testkit.StartCmd(t, cmd), r}
}

// work is the pid of its payload; 0 while it has none.
func (p peer) work(t testing.TB) int {
	t.Helper()
	binary := scene.PayloadBinary(t)
	for _, pid := range testkit.Descendants(p.Pid()) {
		if line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")); err == nil && strings.HasPrefix(string(line), binary+"\x00") {
			return pid
		}
	}
	return 0
}

// begins waits until its payload leaves a trace, and gives the first moment.
func (p peer) begins(t testing.TB, limit time.Duration) time.Duration {
	t.Helper()
	var at time.Duration
	testkit.Wait(t, limit, func() (bool, string) {
		pid := p.work(t)
		for _, l := range p.r.Lines(t) {
			if l.PID == pid && pid != 0 {
				at = l.At
				return true, ""
			}
		}
		return false, "the peer's payload does not begin: " + p.Stderr(t)
	})
	return at
}

// ends has its payload end, whereupon the peer releases and ends.
func (p peer) ends(t testing.TB) {
	t.Helper()
	scene.Kill(t, p.work(t), syscall.SIGTERM)
	if code := p.Wait(t, 15*time.Second); code != 0 {
		t.Errorf("the peer ended with %d", code)
	}
}

// dies is the death of the peer's whole machine, and gives the moment before. The peer goes first: it would
// release when its payload ends.
func (p peer) dies(t testing.TB) time.Duration {
	t.Helper()
	all := append([]int{p.Pid()}, testkit.Descendants(p.Pid())...)
	at := scene.Now()
	for _, pid := range all {
		scene.Kill(t, pid, syscall.SIGKILL)
	}
	p.Wait(t, 5*time.Second)
	return at
}
