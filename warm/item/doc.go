// Package item is a memcached's content as a tree of files: what a snapshot of kind cache holds.
//
//	cache.json             what it is, when and of whom, and the list of all parts; written last
//	band-00/0000.items     the hottest items; band-01 the next, and so on; each part at most 16 MiB, or one item
//
// A part is text around the values, so that any language reads it:
//
//	interlock-cache 1 ID BAND PART\n
//	CRC KEY FLAGS EXPIRES ACCESS FETCHED SIZE LENGTH\n VALUE \n      for each item
//	end ITEMS BYTES\n
//
// KEY has %XX for a percent sign and every byte outside of 21..7E; EXPIRES is in milliseconds since 1970, UTC,
// 0 for never, ACCESS in seconds; FETCHED is 0 or 1; SIZE is what the item takes in the server. LENGTH counts the
// bytes of VALUE, which a line feed follows. CRC is the CRC-32C, eight hexadecimal digits, of all that
// follows its blank up to and including VALUE. Inside a part items have no order.
//
// Promise: a reader hands out only items that a server can be sent, each checked against its CRC; a part that
// is shorter or longer than written, or belongs to another dump or place, is ErrDamaged; a tree without
// cache.json is none. Non-promise: it compresses nothing and syncs nothing: the snapshot store does, and a
// tree that a crash cut is found damaged. Called by dump (writes) and load (reads).
package item
