package courier

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/job"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/ring"
)

const maxPassword = 4096

// CacheServer is the memcached that the configuration names.
func CacheServer(w config.Warm) (memcached.Server, error) {
	s, err := memcached.ParseServer(w.Memcached)
	if err != nil {
		return s, exit.With(exit.Config, err)
	}
	if w.TLS != (config.WarmTLS{}) {
		t := memcached.TLS(w.TLS)
		s.TLS = &t
	}
	if w.PasswordFile == "" {
		return s, nil
	}
	f, err := os.Open(w.PasswordFile)
	if err != nil {
		return s, exit.Withf(exit.Credentials, "warm.password_file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPassword))
	if err != nil {
		return s, exit.Withf(exit.Credentials, "warm.password_file: %w", err)
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	if len(data) == 0 || bytes.ContainsAny(data, "\x00\r\n") {
		return s, exit.Withf(exit.Credentials, "warm.password_file %s: expected one line with the password of %s", w.PasswordFile, w.User)
	}
	s.User, s.Password = w.User, string(data)
	return s, nil
}

// CacheRing is the clients' ring; none where the configuration has none.
func CacheRing(r config.Ring) (job.Ring, error) {
	if r.Kind == "" {
		return job.Ring{}, nil
	}
	nodes, err := job.ParseNodes(r.Nodes)
	if err != nil {
		return job.Ring{}, exit.With(exit.Config, err)
	}
	return job.Ring{Rule: ring.Rule(r.Kind), Nodes: nodes, Self: r.Self}, nil
}

// DumpOptions are those of a dump.
func DumpOptions(s memcached.Server, w config.Warm) dump.Options {
	b := w.Budget
	return dump.Options{Server: s, Listing: dump.Listing(w.Listing), Rate: b.Rate, Limit: dump.Limit{Bytes: b.Limit(), Time: b.Time}}
}

// LoadOptions are those of a load.
func LoadOptions(s memcached.Server, w config.Warm) load.Options {
	b := w.Budget
	return load.Options{Server: s, Order: load.Order(w.Order), Rate: b.Rate, Limit: load.Limit{Bytes: b.Limit(), Time: b.Time}}
}

// CacheError gives what the packages below warm say its exit code.
func CacheError(err error) error {
	if err == nil {
		return nil
	}
	for _, row := range []struct {
		is   error
		code int
	}{
		{job.ErrNone, exit.NoSnapshot}, {job.ErrNothing, exit.NoSnapshot}, {memcached.ErrAuth, exit.Credentials}, {memcached.ErrTLS, exit.Credentials}, {memcached.ErrBinaryOnly, exit.Config},
		{dump.ErrVersion, exit.Config}, {load.ErrVersion, exit.Config}, {dump.ErrRunning, exit.Held}, {load.ErrInUse, exit.Config}, {job.ErrNoSpace, exit.Config}, {drain.ErrForbidden, exit.Config},
		{drain.ErrStuck, exit.Restore}, // its disk, not the server
		{memcached.ErrLost, exit.Unreachable}, {drain.ErrLost, exit.Unreachable}, {drain.ErrTorn, exit.Unreachable}, {drain.ErrStalled, exit.Unreachable},
		{drain.ErrBusy, exit.Unreachable}, {dump.ErrUnsettled, exit.Unreachable}, {dump.ErrRestarted, exit.Unreachable}, {load.ErrRestarts, exit.Unreachable},
		{item.ErrDamaged, exit.Damaged}, {item.ErrNoCache, exit.Damaged},
		{ring.ErrNoRule, exit.Config}, {ring.ErrAmbiguous, exit.Config}, {ring.ErrServers, exit.Config}, {ring.ErrRule, exit.Config},
	} {
		if errors.Is(err, row.is) {
			return exit.With(row.code, err)
		}
	}
	return exit.With(Code(err, exit.Restore), err)
}
