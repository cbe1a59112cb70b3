//go:build bench

package backup

import (
	"os/exec"
	"path/filepath"
)

// A place is where one program works: a folder of its own, the tree that it backs up, and the bucket,
// where the repository is in S3.
type place struct {
	dir  string // scratch of the program
	repo string // directory of the repository, also of the server's bucket
	live string
	s3   *bucket
}

// A bucket is how a program reaches its repository.
type bucket struct{ endpoint, region, name, access, secret string }

// A tool is one program: how it makes a repository, backs up and restores.
type tool struct {
	name    string
	needs   []string
	loses   Loses
	note    string
	s3      bool // can do that, too
	small   bool // is measured with many small files
	init    func(place) []call
	backup  func(p place, tag string) call
	restore func(p place, tag, to string) call
	over    func(p place, tag, to string) call // over what is there; nil: restore does it
}

// missing is the first program that a tool needs and that is not there.
func (t tool) missing() string {
	for _, n := range t.needs {
		if _, err := exec.LookPath(n); err != nil {
			return n
		}
	}
	return ""
}

// tools are in the order of the table; the first one is ours.
func tools(interlock string) []tool {
	return []tool{ours(interlock), restic(), borg(), tarZstd(), tar(), rclone(), cp()}
}

func bash(script string, args ...string) []string {
	return append([]string{"bash", "-ec", "set -o pipefail; " + script, "bash"}, args...)
}

func cp() tool {
	return tool{
		name: "cp -a", needs: []string{"cp"}, note: "no format: one copy, neither compressed nor verified",
		init: func(place) []call { return nil },
		backup: func(p place, _ string) call {
			return call{argv: bash(`rm -rf "$2/mirror"; cp -a "$1" "$2/mirror"`, p.live, p.repo)}
		},
		restore: func(p place, _, to string) call { return call{argv: []string{"cp", "-a", p.repo + "/mirror/.", to}} },
	}
}

func tar() tool {
	return tool{
		name: "tar", needs: []string{"tar"}, small: true, note: "always whole, not compressed; nanoseconds of times are lost",
		init: func(place) []call { return nil },
		backup: func(p place, tag string) call {
			return call{argv: []string{"tar", "-C", p.live, "-cSf", filepath.Join(p.repo, tag+".tar"), "."}}
		},
		restore: func(p place, tag, to string) call {
			return call{argv: []string{"tar", "-C", to, "-xpSf", filepath.Join(p.repo, tag+".tar")}}
		},
	}
}

func tarZstd() tool {
	return tool{
		name: "tar|zstd", needs: []string{"tar", "zstd", "bash"}, small: true, note: "always whole; level 3 on all cores",
		init: func(place) []call { return nil },
		backup: func(p place, tag string) call {
			return call{argv: bash(`tar -C "$1" -cSf - . | zstd -q -3 -T0 -f -o "$2"`, p.live, filepath.Join(p.repo, tag+".tar.zst"))}
		},
		restore: func(p place, tag, to string) call {
			return call{argv: bash(`zstd -q -dc "$1" | tar -C "$2" -xpSf -`, filepath.Join(p.repo, tag+".tar.zst"), to)}
		},
	}
}

func restic() tool {
	do := func(p place, dir string, args ...string) call {
		c := call{argv: append([]string{"restic"}, args...), dir: dir,
			env: []string{"RESTIC_REPOSITORY=" + p.repo, "RESTIC_PASSWORD=bench", "RESTIC_CACHE_DIR=" + filepath.Join(p.dir, "restic-cache")}}
		if b := p.s3; b != nil {
			c.env = append(c.env, "RESTIC_REPOSITORY=s3:"+b.endpoint+"/"+b.name, "AWS_ACCESS_KEY_ID="+b.access,
				"AWS_SECRET_ACCESS_KEY="+b.secret, "AWS_DEFAULT_REGION="+b.region)
		}
		return c
	}
	restore := func(p place, tag, to string) call {
		return do(p, p.dir, "restore", "-q", "--tag", tag, "latest", "--target", to)
	}
	return tool{
		name: "restic", needs: []string{"restic", "bash", "find"}, s3: true, small: true,
		note:    "repository version 2, its own compression; over old files links are removed for it first: it stops at them",
		init:    func(p place) []call { return []call{do(p, p.dir, "init", "-q", "--repository-version", "2")} },
		backup:  func(p place, tag string) call { return do(p, p.live, "backup", "-q", "--tag", tag, ".") },
		restore: restore,
		over: func(p place, tag, to string) call { // older ones stop at a symlink, and lose a hard link, that exists
			c := restore(p, tag, to)
			c.argv = bash(`find "$1" '(' -type l -o -type f -links +1 ')' -delete; shift; "$@"`, append([]string{to}, c.argv...)...)
			return c
		},
	}
}

func borg() tool {
	do := func(p place, dir string, args ...string) call {
		return call{argv: append([]string{"borg"}, args...), dir: dir, env: []string{"BORG_REPO=" + p.repo,
			"BORG_BASE_DIR=" + filepath.Join(p.dir, "borg"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes"}}
	}
	return tool{
		name: "borg", needs: []string{"borg"}, note: "its default chunks, zstd level 3",
		init: func(p place) []call { return []call{do(p, p.dir, "init", "-e", "none")} },
		backup: func(p place, tag string) call {
			return do(p, p.live, "create", "--compression", "zstd,3", "::"+tag, ".")
		},
		restore: func(p place, tag, to string) call { return do(p, to, "extract", "::"+tag) },
	}
}

func rclone() tool {
	sync := func(p place, to bool, local string) call {
		c := call{dir: p.dir, env: []string{"RCLONE_CONFIG=" + filepath.Join(p.dir, "rclone.conf")}}
		far := filepath.Join(p.repo, "mirror")
		if b := p.s3; b != nil {
			far = "bench:" + b.name + "/mirror"
			c.env = append(c.env, "RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Other", "RCLONE_CONFIG_BENCH_ENDPOINT="+b.endpoint,
				"RCLONE_CONFIG_BENCH_REGION="+b.region, "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID="+b.access, "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY="+b.secret)
		}
		from, into := local, far
		if !to {
			from, into = far, local
		}
		c.argv = []string{"rclone", "sync", "-q", "--links", "-M", "--create-empty-src-dirs", from, into}
		return c
	}
	return tool{
		name: "rclone", needs: []string{"rclone"}, s3: true, loses: Loses{Links: true, Modes: true, Empty: true},
		note:    "a mirror, neither compressed nor with versions; loses hard links, and modes and empty folders in S3",
		init:    func(place) []call { return nil },
		backup:  func(p place, _ string) call { return sync(p, true, p.live) },
		restore: func(p place, _, to string) call { return sync(p, false, to) },
	}
}
