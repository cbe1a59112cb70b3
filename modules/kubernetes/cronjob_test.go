package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// cronJob is examples/backup/cronjob.yaml, after some replacements.
func cronJob(t *testing.T, replace ...string) (*batchv1.CronJob, error) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "backup", "cronjob.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(strings.NewReplacer(replace...).Replace(string(text)))
	if err != nil {
		return nil, err
	}
	job, is := objects[0].(*batchv1.CronJob)
	if !is || len(objects) != 1 {
		return nil, fmt.Errorf("%d objects, the first a %T: expected one CronJob", len(objects), objects[0])
	}
	return job, nil
}

// wrongs are what is wrong with a CronJob of a backup.
func wrongs(t *testing.T, job *batchv1.CronJob) []string {
	t.Helper()
	var all []string
	pod := &job.Spec.JobTemplate.Spec.Template.Spec
	c := &pod.Containers[0]
	if job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || job.Spec.StartingDeadlineSeconds == nil {
		all = append(all, "concurrency: expected Forbid, and a deadline for a start that was missed")
	}
	deadline := job.Spec.JobTemplate.Spec.ActiveDeadlineSeconds
	if timeout := flag(t, c.Args, "--timeout"); deadline == nil || time.Duration(*deadline)*time.Second <= timeout {
		all = append(all, fmt.Sprintf("deadline: expected activeDeadlineSeconds above the timeout %v", timeout))
	}
	if g := pod.TerminationGracePeriodSeconds; g == nil || *g < 30 {
		all = append(all, "grace: expected 30 s or more")
	}
	if pod.RestartPolicy != corev1.RestartPolicyNever {
		all = append(all, "restart: expected Never: the next job is due soon")
	}
	for _, e := range c.Env {
		if strings.Contains(e.Name, "PASSWORD") && (e.Value != "" || e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil) {
			all = append(all, "secrets: "+e.Name+" stands in the manifest")
		}
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			all = append(all, "volumes: there is no "+m.Name)
		}
	}
	return append(all, asked(t, slices.Concat(c.Command, c.Args))...)
}

func flag(t *testing.T, args []string, name string) time.Duration {
	t.Helper()
	for _, a := range args {
		if value, is := strings.CutPrefix(a, name+"="); is {
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatalf("no %s in %q", name, args)
	return 0
}

// asked runs the command without the keys' file: it comes as far as the store's keys (77) if it is taken.
func asked(t *testing.T, argv []string) []string {
	t.Helper()
	args := slices.DeleteFunc(slices.Clone(argv[1:]), func(a string) bool { return strings.HasPrefix(a, "--store-credentials-file=") })
	cmd := exec.Command(os.Getenv(binaryVar), args...)
	cmd.Env = []string{"AWS_EC2_METADATA_DISABLED=true", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 77 {
		return []string{fmt.Sprintf("command: %v: %s", err, out)}
	}
	return nil
}

func TestCronJob(t *testing.T) {
	job, err := cronJob(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrongs(t, job) {
		t.Error(w)
	}
}

// TestBrokenCronJob breaks it: each of the rules above can fail.
func TestBrokenCronJob(t *testing.T) {
	for _, c := range []struct{ old, new, says string }{
		{"concurrencyPolicy: Forbid", "concurrencyPolicy: Allow", "concurrency"},
		{"  startingDeadlineSeconds: 600\n", "", "concurrency"},
		{"activeDeadlineSeconds: 3300", "activeDeadlineSeconds: 600", "deadline"},
		{"terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 5", "grace"},
		{"restartPolicy: Never", "restartPolicy: OnFailure", "restart"},
		{"valueFrom: {secretKeyRef: {name: orders-backup, key: password}}", "value: secret", "secrets"},
		{"- name: scratch\n", "- name: scratches\n", "volumes"},
		{"--preset=postgres-dump", "--preset=oracle", "command"},
		{"--keep-daily=14", "--keep-dayly=14", "command"},
	} {
		job, err := cronJob(t, c.old, c.new)
		if err != nil {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		if got := strings.Join(wrongs(t, job), "\n"); !strings.Contains(got, c.says) {
			t.Errorf("%q: found %q, expected %s", c.new, got, c.says)
		}
	}
	if _, err := cronJob(t, "timeZone:", "timezone:"); err == nil {
		t.Error("a field that the API does not know was taken")
	}
}
