// Package ring computes which node of a cache a client puts a key on, by the rules of the clients in use, so
// that a node can be warmed with its own share of the snapshots of all.
//
// Promise: the rules are those of the real clients, bit for bit, over the server strings as the client's own
// list has them; a rule is believed only after Compare and Pick have found the keys that nodes hold where it
// puts them. Non-promise: a client that ejects dead servers, or routes by anything but the key, has no rule here.
// Called by package job, which gives a load the keys of one node, and by cmd/interlock.
//
// A ring's name is not the ring: pylibmc's behavior "ketama" is not the ketama of MD5 but Consistent with the
// default hash.
package ring
