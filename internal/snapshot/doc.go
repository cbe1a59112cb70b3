// Package snapshot is the format of a snapshot repository: everything between an ordered stream of files
// and the objects of a store. docs/snapshot-format.md describes it for readers in other languages.
//
// Promise: a snapshot is in the catalog or it is not, never half; what the catalog lists can be read as
// long as it is listed; a holder whose token has been overtaken publishes nothing; a sweeper, however late,
// deletes only what nobody can name any more; damaged or hostile objects end in ErrDamaged, never in a
// panic or in memory without bound; of an encrypted repository nobody without an identity reads names or
// contents, and that is ErrIdentity, never damage. Non-promise: whoever may write to the store can forge what
// is in it; it walks no tree, restores no metadata, takes no lock, and does not know what makes a copy of a
// running service consistent. Called by backup (writes), restore (reads) and cmd/interlock (lists, compares,
// verifies, prunes).
//
// Read entry.go and catalog.go first (what is stored), then write.go (how a snapshot is made: submit, hash,
// join, place, upload), commit.go (how it is published), collect.go (how it goes), fetch.go (how it is read),
// seal.go and unseal.go (the one place where objects are encrypted, and the one where they are opened).
package snapshot
