# A client of a ring, libmemcached by way of pylibmc: client.py write|read SERVER,.. COUNT VERSION.
# read prints how many of the keys it finds with the values of that version, and how many with another.
import sys

import pylibmc


def wanted(i, version):
    """A text, a number and a structure in turn: what the client tells apart by its flags."""
    return ["value %d of %d" % (i, version), i * 1000 + version, {"item": i, "version": version}][i % 3]


def main():
    what, servers, count, version = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3]), int(sys.argv[4])
    client = pylibmc.Client(servers, behaviors={"ketama": True})
    right = other = 0
    for at in range(0, count, 500):
        keys = {"user:%d" % i: wanted(i, version) for i in range(at, min(at + 500, count))}
        if what == "write":
            failed = client.set_multi(keys, time=3600)
            if failed:
                sys.exit("not stored: %s" % failed[:3])
            continue
        found = client.get_multi(list(keys))
        right += sum(1 for k, v in found.items() if keys[k] == v)
        other += sum(1 for k, v in found.items() if keys[k] != v)
    print(right, other)


main()
