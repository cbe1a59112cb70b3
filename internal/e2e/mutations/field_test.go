package mutations

import (
	"bufio"
	"encoding/json"
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

	"github.com/interlock-run/interlock/internal/chaos/judge"
	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A timing is what a scenario's contenders share.
type timing struct {
	hold, try, kill, margin time.Duration
	tries                   int
}

const ms = time.Millisecond

// usual lets a holder that was cut off live for 3.2 s or more, long enough for a successor that does not wait.
func usual() timing {
	return timing{hold: 4 * time.Second, try: 400 * ms, tries: 3, kill: 700 * ms, margin: 100 * ms}
}

// patient waits long for a reply: what was sent and what was answered lie far apart.
func patient() timing {
	return timing{hold: 4 * time.Second, try: 1500 * ms, tries: 2, kill: 400 * ms, margin: 100 * ms}
}

func (t timing) flags() []string {
	return []string{"--hold", t.hold.String(), "--heartbeat", "200ms", "--try-timeout", t.try.String(), "--tries", strconv.Itoa(t.tries),
		"--grace", "0s", "--kill-budget", t.kill.String(), "--margin", t.margin.String()}
}

// A field is one lock, and the log of the payloads of its contenders.
type field struct {
	service
	t       testing.TB
	scene   *scene.Scene
	log     string
	broken  string // names of the rules that its contenders break
	payload string
	clocks  clocks
	jobs    []*scene.Job
}

func newField(t testing.TB, broken string, open func(t testing.TB, name string) service) *field {
	t.Helper()
	bin, err := payload()
	must(t, err)
	s := scene.New(t)
	return &field{service: open(t, filepath.Base(s.Dir)), t: t, scene: s, log: filepath.Join(s.Dir, "log"), broken: broken, payload: bin}
}

// payload is that of the chaos suite, which shares no code with the product.
var payload = sync.OnceValues(func() (string, error) {
	root, err := testkit.ModuleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "chaos") // below the folder of testkit.Main
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "payload")
	cmd := exec.Command("go", "build", "-o", path, "./internal/chaos/payload")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the payload: %w: %s", err, out)
	}
	return path, nil
})

// variable names the rules to break; it is internal/mutate's, which has it in a broken build alone.
const variable = "INTERLOCK_MUTATE"

// A role is how one contender differs from the others.
type role struct {
	timing  timing
	via     string // address of a proxy
	flags   []string
	payload []string
}

func (f *field) env() []string { return []string{variable + "=" + f.broken} }

// run starts a contender. Each has a state directory of its own, as on another machine: a claim on shared
// storage would stop some mistakes, and the lock has to do without.
func (f *field) run(name string, r role) *scene.Job {
	f.t.Helper()
	s := *f.scene
	s.Timing, s.Lock = r.timing.flags(), f.url(f.addr())
	if r.via != "" {
		s.Lock = f.url(r.via)
	}
	broken := func(t testing.TB, argv ...string) []string {
		return append([]string{testkit.MutateBinary(t)}, argv[1:]...)
	}
	command := append([]string{f.payload, "-log", f.log, "-host", name, "-tick", "10ms"}, r.payload...)
	flags := append([]string{"--state-dir", filepath.Join(s.Dir, "state-"+name)}, r.flags...)
	j := s.Run(f.t, name, scene.Wrapped(broken), scene.Env(append(f.env(), f.clock(name))...), scene.Flags(flags...), scene.Command(command...))
	f.jobs = append(f.jobs, j)
	return j
}

// initialise is `lock init`, at the product's own timing.
func (f *field) initialise() error {
	f.t.Helper()
	cmd := exec.Command(testkit.MutateBinary(f.t), "lock", "init", "--lock", f.url(f.addr()))
	cmd.Env = append(os.Environ(), f.env()...)
	p := testkit.StartCmd(f.t, cmd)
	if code := p.Wait(f.t, 30*time.Second); code != 0 {
		return fmt.Errorf("lock init: %d: %s", code, p.Stderr(f.t))
	}
	return nil
}

// await polls; a scenario on a broken binary may go another way and be tried again, so nothing is fatal.
func await(limit time.Duration, what string, cond func() (bool, error)) error {
	var last error
	_, ok := testkit.Poll(limit, func() (bool, string) {
		var ok bool
		ok, last = cond()
		return ok, ""
	})
	if !ok {
		return fmt.Errorf("not within %v: %s: %w", limit, what, errors.Join(last, errors.New("it did not come")))
	}
	return nil
}

// pass lets time go by.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// phase waits until a contender has come there.
func phase(j *scene.Job, name string) error {
	var over error
	err := await(20*time.Second, j.Holder+" in phase "+name, func() (bool, error) {
		if ended(j) {
			over = fmt.Errorf("%s ended: %s", j.Holder, j.ReasonText())
			return true, nil
		}
		st, err := j.Status()
		return err == nil && st.Phase == name, err
	})
	return errors.Join(err, over)
}

// serves waits until its payload is under way.
func (f *field) serves(j *scene.Job) error {
	return errors.Join(phase(j, "serving"), f.begun(j.Holder))
}

// begun waits for the payload of a contender, and for moments enough to meet another that still lives.
func (f *field) begun(host string) error {
	const enough = 25
	return await(25*time.Second, "a payload of "+host, func() (bool, error) {
		n, err := f.lines(host)
		return n >= enough, err
	})
}

// lines counts those of a contender in the log.
func (f *field) lines(host string) (n int, err error) {
	file, err := os.Open(f.log)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for in := bufio.NewScanner(file); in.Scan(); {
		if w := strings.Fields(in.Text()); len(w) == 6 && w[3] == host {
			n++
		}
	}
	return n, nil
}

// queued waits until n keys are in the queue, and gives them.
func (f *field) queued(n int) (keys []string, err error) {
	var over error // a holder that lost its lease on a busy machine ends the scenario
	err = await(20*time.Second, fmt.Sprintf("%d keys in the queue", n), func() (bool, error) {
		for _, j := range f.jobs {
			if ended(j) {
				over = fmt.Errorf("%s ended: %s", j.Holder, j.ReasonText())
			}
		}
		var err error
		keys, err = f.keys()
		return over != nil || len(keys) == n, err
	})
	return keys, errors.Join(err, over)
}

// recorded is what tests read of the state record.
type recorded struct {
	Holder, Phase string
	WaitMS        int64 `json:"wait_ms"`
}

func (f *field) waitRecord(what string, like func(recorded) bool) error {
	return await(15*time.Second, "a record "+what, func() (bool, error) {
		text, err := f.record()
		if err != nil || text == "" {
			return false, err
		}
		var r recorded
		err = json.Unmarshal([]byte(text), &r)
		return err == nil && like(r), err
	})
}

// changed waits until the record is another than now: then a heartbeat was committed after the call.
func (f *field) changed(limit time.Duration) error {
	before, err := f.record()
	if err != nil {
		return err
	}
	return await(limit, "another heartbeat", func() (bool, error) {
		now, err := f.record()
		return now != before, err
	})
}

// killBoth ends guard and agent at once.
func (f *field) killBoth(j *scene.Job) error {
	agent := j.Agent(f.t)
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range []int{agent, j.Pid()} {
			if err := syscall.Kill(pid, sig); err != nil {
				return err
			}
		}
	}
	return nil
}

func ended(j *scene.Job) bool {
	select {
	case <-j.Exited():
		return true
	default:
		return false
	}
}

// verdict is the judge's, who has the payloads' log and nothing else.
func (f *field) verdict() (judge.Verdict, error) {
	file, err := os.Open(f.log)
	if errors.Is(err, os.ErrNotExist) {
		return judge.Verdict{}, errors.New("no payload was ever started")
	}
	if err != nil {
		return judge.Verdict{}, err
	}
	defer file.Close()
	return judge.File(file, judge.Rules{})
}
