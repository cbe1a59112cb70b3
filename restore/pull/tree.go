package pull

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/restore"
)

// Sentinels are paths without which a known service does not start on a data directory.
func Sentinels() []string {
	return []string{
		"appendonlydir/appendonly.aof.manifest", "dump.rdb", // Redis
		"global/pg_control",    // PostgreSQL
		"ibdata1", "mysql.ibd", // MariaDB, MySQL
	}
}

// sentinels are the user's or the known ones, without what is excluded or is a directory in this snapshot.
func (r *runner) sentinels() []string {
	if r.Sentinels != nil {
		return r.Sentinels
	}
	return slices.DeleteFunc(Sentinels(), func(s string) bool {
		return r.survey.dirs[s] || slices.ContainsFunc(r.Exclude, func(pattern string) bool { return covers(pattern, s) })
	})
}

// covers tells whether a pattern of exclusion leaves out a path, or a directory that it lies in.
func covers(pattern, s string) bool {
	for s != "." {
		at := path.Base(s)
		if strings.Contains(pattern, "/") {
			at = s
		}
		if is, err := path.Match(strings.TrimPrefix(pattern, "/"), at); err != nil || is {
			return true
		}
		s = path.Dir(s)
	}
	return false
}

// tree makes the data directory what the snapshot says.
func (r *runner) tree(ctx context.Context, l restore.Look) (err error) {
	target, err := fstree.OpenTarget(r.Target.Data, fstree.TargetOptions{
		Options: fstree.Options{Exclude: r.Exclude, Note: r.note}, Ours: true, Sentinels: r.sentinels(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := target.Begin(); err != nil {
		return err
	}
	breakpoint.At("pull:sentinels")
	old := l.Dir == restore.DirNonempty
	if old {
		if err := target.Sweep(r.src.entries(ctx)); err != nil {
			return err
		}
		breakpoint.At("pull:swept")
	}
	f := &filler{src: r.src, target: target, old: old, tally: r.Progress, handles: newHandles(target)}
	if err := f.fill(ctx); err != nil {
		return err
	}
	breakpoint.At("pull:filled")
	if err := f.finish(ctx); err != nil {
		return err
	}
	breakpoint.At("pull:sealed")
	if err := target.Finish(); err != nil {
		return err
	}
	breakpoint.At("pull:finished")
	if r.Verify {
		err = r.src.verify(ctx, r.Target.Data, r.Exclude, r.lost)
		breakpoint.At("pull:verified")
	}
	return err
}

func (r *runner) note(n fstree.Note) {
	r.notes.Add(n)
	r.lost.add(n)
	if r.Note != nil {
		r.Note(n)
	}
}
