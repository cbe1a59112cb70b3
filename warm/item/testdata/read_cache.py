#!/usr/bin/env python3
"""read_cache.py DIR - print each item of a cache's content: key, flags, expires and value, in hexadecimal.

What the format promises is all that is used here: no part of interlock is needed. The CRC is not checked.
"""
import json, os, re, sys

def items(path, first):
    with open(path, "rb") as f:
        assert f.readline() == first, path
        count = 0
        while True:
            fields = f.readline().rstrip(b"\n").split(b" ")
            if fields[0] == b"end":
                assert int(fields[1]) == count and f.read() == b"", path
                return
            crc, key, flags, expires, access, fetched, size, length = fields
            key = re.sub(b"%(..)", lambda m: bytes.fromhex(m[1].decode()), key)
            value = f.read(int(length))
            assert f.read(1) == b"\n", path
            count += 1
            yield key, int(flags), int(expires), value

top = sys.argv[1]
with open(os.path.join(top, "cache.json")) as f:
    cache = json.load(f)
for b, band in enumerate(cache["bands"]):
    for p in range(len(band["parts"] or [])):
        first = b"interlock-cache %d %s %d %d\n" % (cache["format"], cache["id"].encode(), b, p)
        for key, flags, expires, value in items(os.path.join(top, "band-%02d" % b, "%04d.items" % p), first):
            print(key.hex(), flags, expires, value.hex())
