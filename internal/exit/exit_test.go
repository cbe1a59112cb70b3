package exit_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/exit"
)

// TestDocs compares docs/exit-codes.md with the table; -update writes it.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "exit-codes.md")
	if update() {
		if err := os.WriteFile(path, exit.Docs(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, exit.Docs()) {
		t.Errorf("%s differs from the table: run go test ./internal/exit -update", path)
	}
}

func update() bool { return flag.Lookup("update").Value.String() == "true" }

// TestMain adds -update, so that there is no package-level flag.
func TestMain(m *testing.M) {
	flag.Bool("update", false, "write docs/exit-codes.md")
	os.Exit(m.Run())
}

// TestTable checks what others rely on: the published numbers, in order, each once, each with a way out.
func TestTable(t *testing.T) {
	want := []int{0, 64, 65, 66, 69, 70, 72, 73, 74, 75, 76, 77, 78, 126, 127}
	var got []int
	for _, e := range exit.Table() {
		got = append(got, e.Code)
		if e.Meaning == "" || e.Do == "" || strings.ContainsAny(e.Meaning+e.Do, "|\n") {
			t.Errorf("%d: meaning %q, do %q", e.Code, e.Meaning, e.Do)
		}
		if !strings.Contains(exit.Text(), fmt.Sprintf("%4d  ", e.Code)) {
			t.Errorf("%d is not in the text", e.Code)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("codes %v, want %v", got, want)
	}
}

func TestCode(t *testing.T) {
	cases := []struct {
		err    error
		code   int
		silent bool
	}{
		{nil, 0, false},
		{io.EOF, exit.Internal, false},
		{exit.With(exit.Held, io.EOF), exit.Held, false},
		{fmt.Errorf("run: %w", exit.With(exit.Lost, io.EOF)), exit.Lost, false},
		{errors.Join(io.EOF, exit.With(exit.Mount, io.EOF)), exit.Mount, false},
		{exit.With(exit.Config, exit.With(exit.Held, io.EOF)), exit.Config, false},
		{exit.With(exit.Config, nil), 0, false},
		{exit.Status(0), 0, false},
		{exit.Status(3), 3, true},
		{exit.Status(exit.Signaled(9)), 137, true},
		{exit.Withf(exit.Usage, "no %s", "verb"), exit.Usage, false},
	}
	for _, c := range cases {
		if got := exit.Code(c.err); got != c.code {
			t.Errorf("Code(%v) = %d, want %d", c.err, got, c.code)
		}
		if got := exit.Silent(c.err); got != c.silent {
			t.Errorf("Silent(%v) = %v, want %v", c.err, got, c.silent)
		}
	}
}

// TestUnwrap checks that a code does not hide the cause.
func TestUnwrap(t *testing.T) {
	if err := exit.With(exit.Held, fmt.Errorf("lock: %w", io.EOF)); !errors.Is(err, io.EOF) || err.Error() != "lock: EOF" {
		t.Errorf("got %v", err)
	}
}
