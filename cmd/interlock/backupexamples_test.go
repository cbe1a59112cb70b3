package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/backup"
	"github.com/interlock-run/interlock/internal/exit"
)

// taken tells whether the program takes the command of an example: it comes as far as the store's keys, which
// are nowhere here. Nothing is asked of any server: the lock is looked at by its own.
func taken(argv []string) error {
	if len(argv) < 3 || filepath.Base(argv[0]) != "interlock" || !slices.Contains([]string{"backup", "verify"}, argv[1]) {
		return fmt.Errorf("%q: expected interlock backup or verify", argv)
	}
	rest, lock, err := withoutLock(argv[1:])
	if err != nil {
		return err
	}
	if lock != "" {
		if code, stdout, stderr := try(nil, "check-config", "--lock", lock); code != 0 {
			return fmt.Errorf("lock %q: %d: %s%s", lock, code, stdout, stderr)
		}
	}
	environ := []string{"AWS_EC2_METADATA_DISABLED=true", "HOME=/nonexistent"}
	if code, stdout, stderr := try(environ, rest...); code != exit.Credentials {
		return fmt.Errorf("%q: %d: %s%s", rest, code, stdout, stderr)
	}
	return nil
}

// withoutLock takes away what would start a run: --lock and its value.
func withoutLock(argv []string) (rest []string, lock string, err error) {
	for i := 0; i < len(argv); i++ {
		value, joined := strings.CutPrefix(argv[i], "--lock=")
		switch {
		case argv[i] == "--":
			return append(rest, argv[i:]...), lock, nil
		case joined:
			lock = value
		case argv[i] == "--lock" && i+1 < len(argv):
			i++
			lock = argv[i]
		case argv[i] == "--lock":
			return nil, "", errors.New("--lock without a value")
		default:
			rest = append(rest, argv[i])
		}
	}
	return rest, lock, nil
}

// TestBackupCrontab: times that cron knows, and commands that are taken.
func TestBackupCrontab(t *testing.T) {
	var verbs []string
	for line := range strings.Lines(readExample(t, "backup", "interlock-backup.crontab")) {
		if line[0] == '#' || strings.TrimSpace(line) == "" {
			continue
		}
		fields := strings.Fields(line)
		if _, err := backup.ParseSchedule(strings.Join(fields[:5], " "), time.UTC); err != nil {
			t.Error(err)
		}
		command, _, logged := strings.Cut(strings.Join(fields[5:], " "), " >>")
		argv, err := words(command)
		if err == nil {
			err = taken(argv)
		}
		if err != nil || !logged {
			t.Errorf("%v, logged %v", err, logged)
		}
		verbs = append(verbs, argv[1])
	}
	if !slices.Equal(verbs, []string{"backup", "verify"}) {
		t.Errorf("jobs %q", verbs)
	}
}

// A metronomeJob is what jobspec.schema.json of Metronome's API v1 knows, as far as the example uses it: there
// any other field is refused.
type metronomeJob struct {
	ID, Description string
	Labels          map[string]string
	Run             metronomeRun
	Schedules       []struct {
		ID, Cron, Timezone      string
		StartingDeadlineSeconds int
		ConcurrencyPolicy       string // ALLOW, FORBID
		Enabled                 bool
	}
}

type metronomeRun struct {
	Args            []string
	CPUs, Mem, Disk float64
	Docker          struct {
		Image          string
		ForcePullImage bool
	}
	Env            map[string]struct{ Secret string }
	Secrets        map[string]struct{ Source string }
	MaxLaunchDelay int
	Placement      struct {
		Constraints []struct{ Attribute, Operator, Value string }
	}
	Restart                    struct{ Policy string }
	TaskKillGracePeriodSeconds int
	Volumes                    []struct{ ContainerPath, HostPath, Mode string }
}

// TestMetronome: fields that Metronome knows, a command that is taken, and keys that are secrets.
func TestMetronome(t *testing.T) {
	var job metronomeJob
	dec := json.NewDecoder(strings.NewReader(readExample(t, "backup", "metronome.json")))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&job); err != nil {
		t.Fatal(err)
	}
	if err := taken(append([]string{"interlock"}, job.Run.Args...)); err != nil {
		t.Error(err)
	}
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$`).MatchString(job.ID) || job.Run.Mem < 32 || job.Run.Restart.Policy != "NEVER" {
		t.Errorf("%+v", job)
	}
	for _, s := range job.Schedules {
		_, err := backup.ParseSchedule(s.Cron, time.UTC)
		if _, zoned := time.LoadLocation(s.Timezone); err != nil || zoned != nil || s.ConcurrencyPolicy != "FORBID" || !s.Enabled {
			t.Errorf("%+v: %v %v", s, err, zoned)
		}
	}
	for name, value := range job.Run.Env {
		if job.Run.Secrets[value.Secret].Source == "" {
			t.Errorf("%s is the secret %q, which is not declared", name, value.Secret)
		}
	}
}

// TestTaken breaks what the tests above look for.
func TestTaken(t *testing.T) {
	const store = " --store s3://backups/orders --store-endpoint https://s3.example.org"
	for _, bad := range []string{
		"interlock backup --frobnicate" + store, "interlock backup", "interlock backup --mode warm" + store, "interlock backups" + store,
		"interlock backup --lock http://x/y" + store, "interlock backup --lock", "interlock backup --store file:///nonexistent", "interlock backup x" + store,
	} {
		if taken(strings.Fields(bad)) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := taken(strings.Fields("interlock backup --data /x --lock etcd://a/b" + store)); err != nil {
		t.Error(err)
	}
}
