// Package memcached talks to one memcached server: exactly the commands that warming a cache needs.
//
// Promise: nothing is sent that a server could take for something else: keys, flags and lifetimes are
// checked before, because a malformed set makes old servers run its value as commands or keep it for ever.
// Every wait ends at a deadline, every reply is bounded, and the errors that callers branch on are values.
// Non-promise: no retries, no pool, no routing over several servers; the listing of keys is not here,
// because a reader of it that stalls can hang the server (package drain). It needs the meta commands in the
// form they have since 1.6.10. Called by dump, drain and load.
package memcached
