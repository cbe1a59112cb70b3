package courier

import (
	"context"
	"log/slog"
	"slices"
)

// notes is the courier's log: its lines go to the agent, which writes them as its own. It implements
// slog.Handler.
type notes struct {
	out  *lines
	args []string
}

func (n *notes) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle says one line; a reader that is gone will kill us soon, and wants no log.
func (n *notes) Handle(_ context.Context, rec slog.Record) error {
	args := slices.Clone(n.args)
	rec.Attrs(func(a slog.Attr) bool {
		args = append(args, a.Key, bounded(a.Value.String()))
		return true
	})
	if rec.Level == slog.LevelInfo && slices.Contains(args, commandKey) {
		rec.Level = slog.LevelDebug // a dump tool tells each file; what it says last is in its error
	}
	return n.out.say(Line{Note: &Note{Level: rec.Level, Text: bounded(rec.Message), Args: args}})
}

// commandKey marks what a command said of itself.
const commandKey = "command"

func (n *notes) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &notes{n.out, slices.Clone(n.args)}
	for _, a := range attrs {
		with.args = append(with.args, a.Key, bounded(a.Value.String()))
	}
	return with
}

// WithGroup has no use here: names are few and told apart by themselves.
func (n *notes) WithGroup(string) slog.Handler { return n }

// bounded keeps a line below its limit, whatever a command said.
func bounded(s string) string {
	const most = 2000
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
