package restore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/fence"
)

// states are the situations of the state file; token 5, inode 7.
var states = map[string]func(*Look){
	"none":      func(*Look) {},
	"clean":     func(l *Look) { put(l, PhaseClean, WhenEmpty) },
	"recorded":  func(l *Look) { put(l, PhaseEmpty, WhenEmpty) },
	"restoring": func(l *Look) { put(l, PhaseRestoring, WhenEmpty) },
	"over":      func(l *Look) { put(l, PhaseRestoring, WhenAlways) },
	"trouble":   func(l *Look) { l.Trouble = "unreadable" },
}

func put(l *Look, phase Phase, when string) {
	l.Found = true
	l.State = State{V: 1, Data: "../data", Path: "/srv/data", Inode: 7, Phase: phase, When: when, Token: 5, Holder: "a"}
}

func look(dir DirState, state string) Look {
	l := Look{Data: "/srv/data", Rel: "../data", Dir: dir, Inode: 7, Ours: 6, Detail: "PG_VERSION"}
	states[state](&l)
	return l
}

// table: what is there, then the action for empty, always, never and no script. + is cleanup.
const table = `
empty     none       run      run     none    none
empty     clean      run      run     none    none
empty     recorded   resume   resume  refuse  refuse
empty     restoring  resume   resume  refuse  refuse
empty     over       resume   resume  refuse  refuse
nonempty  none       none     run     none    none
nonempty  clean      none     run     none    none
nonempty  recorded   refuse   resume  refuse  refuse
nonempty  restoring  resume+  resume  refuse  refuse
nonempty  over       refuse   resume  refuse  refuse
`

func expected() map[string]string {
	want := map[string]string{}
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		for i := 2; i < len(f); i++ {
			want[fmt.Sprint(f[0], " ", f[1], " ", columns[i-2])] = f[i]
		}
	}
	return want
}

var columns = []string{WhenEmpty, WhenAlways, WhenNever, "noscript"}

func short(d Decision) string {
	if d.Cleanup {
		return string(d.Action) + "+"
	}
	return string(d.Action)
}

func TestDecideEveryCombination(t *testing.T) {
	want, seen := expected(), 0
	for _, dir := range []DirState{DirEmpty, DirNonempty, DirMissing, DirNot, DirUnknown, ""} {
		for state := range states {
			for _, col := range columns {
				when, script := col, true
				if col == "noscript" {
					when, script = WhenEmpty, false
				}
				key := fmt.Sprint(dir, " ", state, " ", col)
				expect, ok := want[key]
				if !ok {
					expect = "refuse" // a place or a state that is not known
				}
				d := Decide(look(dir, state), when, script)
				if short(d) != expect {
					t.Errorf("%s: %s (%s): expected %s", key, short(d), d.Reason, expect)
				}
				if d.Reason == "" || strings.Contains(d.Reason, "\n") {
					t.Errorf("%s: reason %q: expected one line", key, d.Reason)
				}
				seen++
			}
		}
	}
	if seen != 6*len(states)*len(columns) || len(want) != 40 {
		t.Errorf("saw %d combinations, table of %d", seen, len(want))
	}
}

// A state file of another place or of a later holder is refused whatever was asked for.
func TestDecideRefusesAStateThatIsNotOurs(t *testing.T) {
	for name, change := range map[string]func(*Look){
		"another data directory": func(l *Look) { l.Rel = "../other" },
		"higher token":           func(l *Look) { l.Ours = 4 },
	} {
		for state := range states {
			for _, dir := range []DirState{DirEmpty, DirNonempty} {
				for _, when := range []string{WhenEmpty, WhenAlways, WhenNever} {
					for _, script := range []bool{true, false} {
						l := look(dir, state)
						change(&l)
						d := Decide(l, when, script)
						if l.Found && d.Action != Refuse {
							t.Errorf("%s: %s %s %s: %s", name, dir, state, when, d.Action)
						}
					}
				}
			}
		}
	}
}

func TestDecideCleansOnlyTheRecordedDirectory(t *testing.T) {
	l := look(DirNonempty, "restoring")
	l.Inode = 8
	if d := Decide(l, WhenEmpty, true); d.Action != Refuse {
		t.Errorf("another inode: %+v: expected refuse", d)
	}
}

func TestDecideNeverBeginsTwiceInATenure(t *testing.T) {
	for _, when := range []string{WhenEmpty, WhenAlways} {
		for _, dir := range []DirState{DirEmpty, DirNonempty} {
			for _, state := range []string{"restoring", "over"} {
				l := look(dir, state)
				l.Ours = 5
				if d := Decide(l, when, true); d.Action != Refuse {
					t.Errorf("%s %s %s: %+v: expected refuse", when, dir, state, d)
				}
			}
		}
	}
}

func TestDecideWithoutTokenIsADryRun(t *testing.T) {
	for state := range states {
		l := look(DirNonempty, state)
		l.Ours = 0
		if got, want := Decide(l, WhenEmpty, true).Action, Decide(look(DirNonempty, state), WhenEmpty, true).Action; got != want {
			t.Errorf("%s: %s without a token, %s with one", state, got, want)
		}
	}
}

func TestDecideRefusesAnUnknownWhen(t *testing.T) {
	for _, when := range []string{"", "Empty", "sometimes"} {
		if d := Decide(look(DirEmpty, "none"), when, true); d.Action != Refuse {
			t.Errorf("when %q: %+v: expected refuse", when, d)
		}
	}
}

// The rules that no input may break, over the whole product.
func FuzzDecide(f *testing.F) {
	f.Add("nonempty", "restoring", "empty", uint64(7), uint64(6), true)
	f.Add("empty", "clean", "never", uint64(8), uint64(0), false)
	f.Fuzz(func(t *testing.T, dir, state, when string, inode, ours uint64, script bool) {
		if states[state] == nil {
			return
		}
		l := look(DirState(dir), state)
		l.Inode, l.Ours = inode, fence.Token(ours)
		d := Decide(l, when, script)
		open := l.Found && l.State.Phase != PhaseClean
		switch {
		case d.Cleanup && (!open || l.State.When != WhenEmpty || l.State.Inode != inode || when != WhenEmpty || d.Action != Resume):
			t.Errorf("%+v %s: cleans up: %+v", l, when, d)
		case d.Action == None && (open || l.Trouble != "" || l.Dir != DirEmpty && l.Dir != DirNonempty):
			t.Errorf("%+v %s: starts: %+v", l, when, d)
		case (d.Action == Run || d.Action == Resume) && (!script || when == WhenNever):
			t.Errorf("%+v %s: restores: %+v", l, when, d)
		}
	})
}
