package supervise

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	tree "github.com/interlock-run/interlock/internal/cgroup"
	"github.com/interlock-run/interlock/internal/clock"
	"golang.org/x/sys/unix"
)

// A cgroup is a child group of our own, made below the one that we were started in.
type cgroup struct {
	brood // an extra: who moved itself to another cgroup is still a descendant
	dir   string
	v1    bool
	begun time.Time // v1: of the present kill
}

// findCgroup looks for the group that we are in, by what is there: a container on a v1 host has a
// writable tmpfs in its place, where mkdir would work too.
func findCgroup(v1 bool) (string, error) {
	own, err := ownCgroup(v1)
	if err != nil {
		return "", err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(info), "\n") {
		m, ok := tree.ParseMount(line)
		if !ok || !m.Shows(treeOf(v1)) {
			continue
		}
		if dir, ok := m.Dir(own); ok && isCgroup(dir, v1) {
			return dir, nil
		}
	}
	return "", errors.New("no " + kindName(v1) + " is mounted that shows our own group")
}

// treeOf is the hierarchy that can hold and kill a group.
func treeOf(v1 bool) tree.Tree {
	if v1 {
		return "freezer"
	}
	return tree.V2
}

func kindName(v1 bool) string {
	if v1 {
		return "cgroup v1 freezer"
	}
	return "cgroup v2 tree"
}

// ownCgroup is our path in the hierarchy.
func ownCgroup(v1 bool) (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	own, ok := treeOf(v1).Own(string(b))
	if !ok {
		return "", errors.New("we are in no " + kindName(v1))
	}
	return own, nil
}

// isCgroup checks the filesystem's magic and that the directory is ours.
func isCgroup(dir string, v1 bool) bool {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return false
	}
	if v1 && st.Type != unix.CGROUP_SUPER_MAGIC || !v1 && st.Type != unix.CGROUP2_SUPER_MAGIC {
		return false
	}
	members, err := os.ReadFile(path.Join(dir, "cgroup.procs"))
	return err == nil && hasLine(string(members), strconv.Itoa(os.Getpid()))
}

func hasLine(text, want string) bool {
	for _, line := range strings.Split(text, "\n") {
		if line == want {
			return true
		}
	}
	return false
}

// makeCgroup makes the domain's own group and looks whether it has what killing takes.
func makeCgroup(v1 bool, b brood) (*cgroup, error) {
	parent, err := findCgroup(v1)
	if err != nil {
		return nil, err
	}
	// The number alone could be that of another PID namespace's guard.
	name := "interlock-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(int64(clock.Now().Boot), 36)
	dir := path.Join(parent, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	c := &cgroup{brood: b, dir: dir, v1: v1}
	if err := c.usable(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// usable looks whether the kernel gave the new group what killing takes (cgroup.kill is of 5.14).
func (c *cgroup) usable() error {
	needed := []string{"cgroup.procs", "cgroup.kill"}
	if c.v1 {
		needed[1] = "freezer.state"
	}
	for _, name := range needed {
		if err := unix.Access(path.Join(c.dir, name), unix.W_OK); err != nil {
			return &fs.PathError{Op: "access", Path: path.Join(c.dir, name), Err: err}
		}
	}
	if !c.vacant() {
		return errors.New("cannot read whether " + c.dir + " is empty")
	}
	return nil
}

func (c *cgroup) admit(pid int) error {
	return os.WriteFile(path.Join(c.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// vacant is the group's own proof. What cannot be read is not empty.
func (c *cgroup) vacant() bool {
	if c.v1 {
		return len(c.list()) == 0
	}
	b, err := os.ReadFile(path.Join(c.dir, "cgroup.events"))
	return err == nil && hasLine(string(b), "populated 0")
}

func (c *cgroup) empty() bool { return c.vacant() && c.brood.empty() }

// groups are our own group and those that a payload made below it, outermost first.
func (c *cgroup) groups() ([]string, error) {
	var dirs []string
	err := fs.WalkDir(os.DirFS(c.dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path.Join(c.dir, name))
		}
		return err
	})
	return dirs, err
}

// list is who is in the groups; what cannot be read counts as somebody.
func (c *cgroup) list() []int {
	var found []int
	dirs, err := c.groups()
	for _, dir := range dirs {
		b, rerr := os.ReadFile(path.Join(dir, "cgroup.procs"))
		err = errors.Join(err, rerr)
		for _, line := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(line); err == nil {
				found = append(found, pid)
			}
		}
	}
	if err != nil {
		found = append(found, unreadable)
	}
	return found
}

func (c *cgroup) alive() []int { return append(c.list(), c.brood.alive()...) }

// close removes the groups, innermost first.
func (c *cgroup) close() error {
	dirs, err := c.groups()
	for i := len(dirs) - 1; i >= 0; i-- {
		err = errors.Join(err, os.Remove(dirs[i]))
	}
	return err
}
