package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// A rule says what is wrong with one file; nothing when all is well.
type rule func(source) []string

func rules() []rule {
	return []rule{features, drivers, onlyCmdNamesDrivers, onlyCmdNamesStores, lightWorker, configAlone, noExec, noInit, noSleep}
}

func featureDirs() []string {
	return []string{"lock", "fence", "mountcheck", "restore", "backup", "supervise", "warm"}
}

func driverDirs() []string {
	return []string{"lock/zk", "lock/etcd", "lock/file", "internal/store/dir", "internal/store/s3"}
}

func featureOf(dir string) string {
	top, _, _ := strings.Cut(dir, "/")
	if slices.Contains(featureDirs(), top) {
		return top
	}
	return ""
}

// features: no feature imports another. Only fence is vocabulary, which imports no feature itself.
func features(s source) (wrong []string) {
	mine := featureOf(s.dir)
	for _, i := range s.ours() {
		other := featureOf(i)
		if mine != "" && other != "" && other != mine && i != "fence" {
			wrong = append(wrong, fmt.Sprintf("feature %s imports feature %s", mine, i))
		}
		if mine != "" && (under(i, "internal/lifecycle") || under(i, "internal/config") || under(i, "cmd")) {
			wrong = append(wrong, fmt.Sprintf("feature %s imports %s, which is above it", mine, i))
		}
	}
	return wrong
}

// drivers: a driver of the lock knows its contract, the token and the clock, one of the store its contract; the
// tests of either also the suite and the kit.
func drivers(s source) (wrong []string) {
	i := slices.IndexFunc(driverDirs(), func(d string) bool { return under(s.dir, d) })
	if i < 0 {
		return nil
	}
	allowed := []string{"lock", "fence", "internal/clock", "internal/mutate", "internal/process"}
	suite := "lock/locktest"
	if under(s.dir, "internal/store") {
		allowed, suite = []string{"internal/store"}, "internal/store/storetest"
	}
	if s.test {
		allowed = append(allowed, driverDirs()[i], suite, "internal/testkit")
	}
	for _, imported := range s.ours() {
		if !slices.Contains(allowed, imported) {
			wrong = append(wrong, fmt.Sprintf("driver %s imports %s: expected only %s", s.dir, imported, strings.Join(allowed, ", ")))
		}
	}
	return wrong
}

// onlyCmdNamesDrivers: everything else works with the contract. The benchmarks are commands, too, and a test of
// snapshots wants a real store.
func onlyCmdNamesDrivers(s source) (wrong []string) {
	for _, imported := range s.ours() {
		store := under(imported, "internal/store") && (s.test || under(s.dir, "internal/bench"))
		if slices.Contains(driverDirs(), imported) && !store && !under(s.dir, "cmd") && !under(s.dir, "internal/bench/crowd") && !under(s.dir, imported) {
			wrong = append(wrong, fmt.Sprintf("%s names the driver %s: only cmd does", s.dir, imported))
		}
	}
	return wrong
}

// onlyCmdNamesStores: a store is opened in one place and passed on. Tests work on real ones.
func onlyCmdNamesStores(s source) (wrong []string) {
	if s.test || under(s.dir, "cmd") || strings.Contains(s.dir+"/", "/testdata/") {
		return nil
	}
	for _, imported := range s.ours() {
		if under(imported, "internal/store/dir") && !under(s.dir, "internal/store/dir") || under(imported, "internal/store/s3") && !under(s.dir, "internal/store/s3") {
			wrong = append(wrong, fmt.Sprintf("%s names the store %s: only cmd does", s.dir, imported))
		}
	}
	return wrong
}

// lightWorker: what starts early and often knows no snapshot: that is the courier's.
func lightWorker(s source) (wrong []string) {
	light := under(s.dir, "internal/worker") || under(s.dir, "internal/role") || under(s.dir, "supervise") || s.dir == "restore"
	if !light || s.test {
		return nil
	}
	for _, imported := range s.ours() {
		for _, heavy := range []string{"internal/snapshot", "internal/store", "internal/courier", "restore/pull", "backup"} {
			if under(imported, heavy) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: that is for the courier", s.dir, imported))
			}
		}
	}
	return wrong
}

// configAlone: plain values that anybody may read, and that know nobody.
func configAlone(s source) (wrong []string) {
	for _, imported := range s.ours() {
		if under(s.dir, "internal/config") && !under(imported, "internal/config") {
			wrong = append(wrong, "internal/config imports "+imported+": expected nothing of ours")
		}
	}
	return wrong
}

// noExec: where one waiter reaps all processes, or where a role must start cheaply, os/exec is a second
// waiter and a slow start. A fence agent runs while nothing of the guard's may, so it is the agent process's own.
func noExec(s source) []string {
	for _, dir := range []string{"supervise", "fence", "restore", "internal/worker", "internal/role", "mountcheck/probe"} {
		if under(s.dir, dir) && s.dir != "fence/agent" && !s.test && slices.Contains(s.imports, "os/exec") {
			return []string{dir + " imports os/exec: processes are started in one place, by the guard"}
		}
	}
	return nil
}

// noInit: the switch of roles is the only one. A test binary that plays those roles needs its own.
func noInit(s source) (wrong []string) {
	if s.test {
		return nil
	}
	for _, d := range s.syntax.Decls {
		f, is := d.(*ast.FuncDecl)
		if is && f.Recv == nil && f.Name.Name == "init" && !under(s.dir, "internal/role") {
			wrong = append(wrong, "has an init function: only internal/role may")
		}
	}
	return wrong
}

// noSleep: a test that sleeps waits for too long, or not long enough. A process that a test starts may
// sleep for ever.
func noSleep(s source) (wrong []string) {
	if !s.test {
		return nil
	}
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		if loop, is := n.(*ast.ForStmt); is && loop.Cond == nil && len(loop.Body.List) == 1 {
			return false
		}
		sel, is := n.(*ast.SelectorExpr)
		if !is || sel.Sel.Name != "Sleep" {
			return true
		}
		if pkg, is := sel.X.(*ast.Ident); is && pkg.Name == "time" {
			wrong = append(wrong, fmt.Sprintf("line %d sleeps: wait for the event", s.files.Position(sel.Pos()).Line))
		}
		return true
	})
	return wrong
}

// broken applies every rule to every file, and asks every package for its comment.
func broken(sources []source) []string {
	var wrong []string
	for _, s := range sources {
		for _, r := range rules() {
			for _, w := range r(s) {
				wrong = append(wrong, s.name+": "+w)
			}
		}
	}
	return append(wrong, withoutComment(sources)...)
}

// withoutComment names the packages of which no file has a package comment.
func withoutComment(sources []source) []string {
	commented := map[string]bool{}
	for _, s := range sources {
		if !s.test {
			commented[s.dir] = commented[s.dir] || strings.TrimSpace(s.syntax.Doc.Text()) != ""
		}
	}
	var wrong []string
	for dir, has := range commented {
		if !has {
			wrong = append(wrong, dir+": no file has a package comment")
		}
	}
	slices.Sort(wrong)
	return wrong
}
