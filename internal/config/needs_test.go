package config_test

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// TestNeeds: what is added up, and what is not.
func TestNeeds(t *testing.T) {
	lock := []string{"--lock", "etcd://h/n"}
	hook := `["/bin/h"]`
	cases := []struct {
		name        string
		flags       []string
		stop, start time.Duration
	}{
		// 25+5+1+10+3*2; 3*2 + 60 + 60*1.004
		{"lock alone", nil, 47 * time.Second, 126240 * time.Millisecond},
		{"lock file", []string{"--lock", "file:///l"}, 47 * time.Second, 66240 * time.Millisecond},
		{"data", []string{"--data", "/d"}, 47 * time.Second, 216240 * time.Millisecond},
		{"mount without data", []string{"--mount", "/d"}, 47 * time.Second, 186240 * time.Millisecond},
		{"restore", []string{"--data", "/d", "--restore-exec", hook, "--restore-timeout", "10m"}, 47 * time.Second, 816240 * time.Millisecond},
		{"restore never", []string{"--data", "/d", "--restore-exec", hook, "--restore-when", "never"}, 47 * time.Second, 216240 * time.Millisecond},
		{"restore from the store", []string{"--data", "/d", "--store", "s3://b/p", "--restore-from", "store", "--restore-timeout", "10m"}, 47 * time.Second, 846240 * time.Millisecond},
		{"backup at the stop", []string{"--data", "/d", "--store", "s3://b/p", "--backup-on-stop", "true", "--backup-mode", "cold", "--backup-timeout", "10m"}, 649 * time.Second, 246240 * time.Millisecond},
		{"pre hooks", []string{"--hooks-pre-start-exec", hook, "--hooks-pre-stop-exec", hook, "--hooks-pre-stop-timeout", "7s"}, 54 * time.Second, 156240 * time.Millisecond},
		{"post hooks", []string{"--hooks-post-start-exec", hook, "--hooks-post-stop-exec", hook}, 78 * time.Second, 126240 * time.Millisecond},
		{"settle", []string{"--settle", "10s"}, 47 * time.Second, 136280 * time.Millisecond},
		{"hold above the largest", []string{"--hold", "70s"}, 47 * time.Second, 146280 * time.Millisecond},
		{"hold_max", []string{"--hold-max", "20s"}, 47 * time.Second, 46080 * time.Millisecond},
		{"own times", []string{"--stop-grace", "1m", "--grace", "2s", "--kill-budget", "2s", "--budgets-drain", "3s", "--tries", "2"}, 71 * time.Second, 124240 * time.Millisecond},
	}
	for _, c := range cases {
		flags := c.flags
		if len(flags) == 0 || flags[0] != "--lock" {
			flags = append(flags, lock...)
		}
		cfg, _, err := config.Load(inputs(flags...))
		if err != nil {
			t.Fatal(c.name, err)
		}
		for what, got := range map[string]config.Need{"stop": cfg.StopNeed(), "start": cfg.StartNeed()} {
			want := c.stop
			if what == "start" {
				want = c.start
			}
			if got.Total != want {
				t.Errorf("%s: %s needs %v = %s: expected %v", c.name, what, got.Total, got.How(), want)
			}
			var sum time.Duration
			for _, p := range got.Parts {
				if p.Time <= 0 || p.Name == "" {
					t.Errorf("%s: part %+v", c.name, p)
				}
				sum += p.Time
			}
			if sum != got.Total {
				t.Errorf("%s: the parts are %v, the total %v", c.name, sum, got.Total)
			}
		}
	}
}
