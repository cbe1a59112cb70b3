// Package backup takes one snapshot of a service's data and publishes it.
//
// Promise: what is published is whole by the rule of its mode: a command ended well, said so in its output
// and was verified; a tree did not change while it was copied, unless the freeze command declared that the
// service mends that, or `live` was asked for by name. Anything else publishes nothing. What a freeze
// command holds is let go on every way out, also when this process is killed. Nothing that is much smaller
// than the snapshot before is published unasked. Non-promise: it takes no lock and watches no lease (end
// the context; a holder that was overtaken is turned away by the catalog), opens no store, reads no
// configuration; a freeze command that lies is not found out, but for files that move.
// Called by the commands and by the store worker of a run: it blocks as long as the filesystem does.
//
// Read source.go (what is backed up), take.go (the order of a try), then the modes: tree.go, stream.go,
// hook.go, reflink.go.
package backup
