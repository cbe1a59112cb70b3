package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Database is one of Debian's database servers as commands and clients: the
// kit starts no server by itself, because in most tests interlock does. All
// traffic goes over a unix socket.
type Database struct {
	Name    string // mariadb, postgresql, redis
	Version string
	Data    string   // data directory
	Socket  string   // outside of Data
	User    string   // whom install and server must run as; empty: whoever the test is
	Install []string // fills the empty data directory, run as User; nil where the server needs none
	Server  []string // runs in the foreground, as User; more flags may be appended

	client []string // statements on stdin, answers on stdout
}

// AsUser turns a command into one that runs as the database's user, the way
// an image's entrypoint does it: setpriv changes and execs.
func (d *Database) AsUser(argv ...string) []string {
	if d.User == "" {
		return argv
	}
	return append([]string{"setpriv", "--reuid", d.User, "--regid", d.User, "--clear-groups", "--"}, argv...)
}

// Initialize makes the data directory, gives it to the database's user and
// runs Install there.
func (d *Database) Initialize(t testing.TB) {
	t.Helper()
	must(t, os.MkdirAll(d.Data, 0o700))
	d.Own(t, d.Data)
	if d.Install == nil {
		return
	}
	argv := d.AsUser(d.Install...)
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// Own gives a path to the database's user.
func (d *Database) Own(t testing.TB, path string) {
	t.Helper()
	uid, gid := d.IDs(t)
	must(t, os.Chown(path, uid, gid))
}

// IDs are the numbers of User and its group.
func (d *Database) IDs(t testing.TB) (uid, gid int) {
	t.Helper()
	if d.User == "" {
		return os.Geteuid(), os.Getegid()
	}
	u, err := user.Lookup(d.User)
	must(t, err)
	uid, err = strconv.Atoi(u.Uid)
	must(t, err)
	gid, err = strconv.Atoi(u.Gid)
	must(t, err)
	return uid, gid
}

// Query asks the server through a client of its own and fails the test if it
// does not answer.
func (d *Database) Query(t testing.TB, statement string) string {
	t.Helper()
	out, err := d.TryQuery(statement)
	must(t, err)
	return out
}

// TryQuery is Query that gives the error: no server, or a refusal.
func (d *Database) TryQuery(statement string) (string, error) {
	argv, in := d.client, statement+"\n"
	if d.Name == "redis" {
		argv, in = append(append([]string(nil), argv...), strings.Fields(statement)...), "" // only so it reports failures
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %q: %w: %s", d.Name, statement, err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// WaitReady waits until the server answers.
func (d *Database) WaitReady(t testing.TB, limit time.Duration) {
	t.Helper()
	ask := "SELECT 1;"
	if d.Name == "redis" {
		ask = "EXISTS none"
	}
	word, pause := "not asked yet", time.Time{}
	Wait(t, limit, func() (bool, string) {
		// A client for each look would take the processor from a server that recovers.
		if time.Now().Before(pause) {
			return false, word
		}
		pause = time.Now().Add(100 * time.Millisecond)
		c, err := net.Dial("unix", d.Socket)
		if err == nil {
			_, err = d.TryQuery(ask)
			err = errors.Join(err, c.Close())
		}
		word = fmt.Sprint(err)
		return err == nil, word
	})
}

// newDatabase finds the programs, skips the test without them, and makes a
// folder for the socket: its path must stay below 108 bytes.
func newDatabase(t testing.TB, name, data string, programs map[string]string) *Database {
	t.Helper()
	for program, pkg := range programs {
		if _, err := exec.LookPath(program); err != nil {
			Skip(t, name, fmt.Sprintf("%s is not there (Debian: %s): %v", program, pkg, err))
		}
	}
	d := &Database{Name: name, Data: data}
	dir, err := os.MkdirTemp("", "s")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o777))
	d.Socket = filepath.Join(dir, "sock")
	return d
}

// runsAs takes the server's own user where the test may change to it, and
// whoever there is where the package made none.
func (d *Database) runsAs(t testing.TB, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	requireTool(t, "setpriv")
	for _, d.User = range []string{name, "nobody"} {
		if _, err := user.Lookup(d.User); err == nil {
			return
		}
	}
	Skip(t, d.Name, "neither a user "+name+" nor nobody: the server refuses root")
}

// version is the first word with a dot and a digit of what the program says.
func (d *Database) version(t testing.TB, argv ...string) {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	must(t, err)
	for _, w := range strings.Fields(string(out)) {
		w = strings.TrimPrefix(w, "v=")
		if strings.Contains(w, ".") && w[0] >= '0' && w[0] <= '9' {
			d.Version = w
			recordRun(t, d.Name, w)
			return
		}
	}
	must(t, errors.New("no version in "+string(out)))
}
