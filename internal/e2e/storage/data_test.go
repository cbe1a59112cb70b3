package storage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMissingDataIsNeverCreated(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	s.Data = filepath.Join(s.Dir, "none")
	wantReason(t, s.Run(t, "a").Expect(t, limit, 73), s.Data)
	if exists(t, s.Data) {
		t.Error("the data directory was created")
	}
	nothingBegan(t, s)
}

func TestDataIsAFile(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	s.Data = filepath.Join(s.Dir, "file")
	write(t, s.Data, "precious")
	wantReason(t, s.Run(t, "a").Expect(t, limit, 73), s.Data)
	if read(t, s.Data) != "precious" {
		t.Error("the file was changed")
	}
	nothingBegan(t, s)
}

// What cannot be read is unknown, never empty.
func TestUnreadableData(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	for name, mode := range map[string]os.FileMode{"no rights": 0, "no list": 0o111} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			write(t, filepath.Join(s.Data, "precious"), "x")
			if err := os.Chmod(s.Data, mode); err != nil {
				t.Fatal(err)
			}
			a := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged), shell(t, "restore-exec", "touch "+s.Data+"/restored"))
			wantReason(t, a.Expect(t, limit, 73), s.Data)
			nothingBegan(t, s)
		})
	}
}

// A parent that may not be searched hides whether there is a data directory at all.
func TestDataBelowAForbiddenDirectory(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	s := scene.New(t)
	above := mkdir(t, s.Dir, "above")
	s.Data = mkdir(t, above, "db")
	if err := os.Chmod(above, 0o700); err != nil {
		t.Fatal(err)
	}
	a := s.Run(t, "default", scene.Wrapped(testkit.Unprivileged))
	wantReason(t, a.Expect(t, limit, 73), s.Data)
	b := s.Run(t, "named", scene.Wrapped(testkit.Unprivileged), scene.Flags("--state-dir", s.State))
	wantReason(t, b.Expect(t, limit, 73), s.Data)
	nothingBegan(t, s)
}
