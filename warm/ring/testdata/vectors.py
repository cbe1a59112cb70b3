#!/usr/bin/python3
"""vectors.py > vectors.json - where real clients put keys.

Needs Debian's memcached, python3-pylibmc and nutcracker, and in the variable PROXY_MEMCACHED the path of a memcached
built from Debian's source package with ./configure --enable-proxy; run by hand when a rule is added. Each client stores
keys through four real servers on fixed loopback addresses, and each server is asked for what it holds. Key
number i is key:i, or k<e acute>:i in UTF-8 where i % 5 is 4.
"""
import json, os, socket, subprocess, sys, tempfile, time
import pylibmc

N = 1000
HOSTS = ["127.77.0.%d" % i for i in (1, 2, 3, 4)]
PORTS = [22101, 11211]
PROXY = 22199

def key(i):
    return ("k\u00e9:%d" % i if i % 5 == 4 else "key:%d" % i).encode()

def talk(address, text, end):
    for attempt in range(100):
        try:
            s = socket.create_connection(address, timeout=10)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    with s:
        s.sendall(text)
        answer = b""
        while not answer.endswith(end):
            more = s.recv(1 << 16)
            assert more, (address, answer)
            answer += more
        return answer

def flush(port):
    for host in HOSTS:
        talk((host, port), b"flush_all\r\n", b"OK\r\n")

def placement(port):
    have = []
    for host in HOSTS:
        answer = talk((host, port), b"".join(b"mg %s k\r\n" % key(i) for i in range(N)) + b"mn\r\n", b"MN\r\n")
        have.append({line.split(b" ")[1][1:] for line in answer.split(b"\r\n") if line.startswith(b"HD")})
    digits = ""
    for i in range(N):
        where = [n for n in range(4) if key(i) in have[n]]
        assert len(where) == 1, (key(i), where)
        digits += str(where[0])
    return digits

vectors = []

def add(client, rule, port, weights, digits):
    vectors.append({"client": client, "rule": rule, "placement": digits,
                    "servers": [{"name": "%s:%d" % (h, port), "weight": w} for h, w in zip(HOSTS, weights)]})
    print(client, rule, port, weights, [digits.count(str(n)) for n in range(4)], file=sys.stderr)

def with_pylibmc(rule, behaviors, port, weights):
    flush(port)
    c = pylibmc.Client(["%s:%d:%d" % (h, port, w) for h, w in zip(HOSTS, weights)], behaviors=behaviors)
    for i in range(N):
        assert c.set(key(i), b"v")
    add("pylibmc %s, libmemcached %s" % (pylibmc.__version__, pylibmc.libmemcached_version), rule, port, weights, placement(port))

def with_nutcracker(rule, distribution, hash, port, weights):
    flush(port)
    with tempfile.TemporaryDirectory() as d:
        conf = os.path.join(d, "conf")
        with open(conf, "w") as f:
            f.write("pool:\n  listen: 127.0.0.1:%d\n  hash: %s\n  distribution: %s\n  servers:\n" % (PROXY, hash, distribution))
            for h, w in zip(HOSTS, weights):
                f.write("   - %s:%d:%d\n" % (h, port, w))
        p = subprocess.Popen(["nutcracker", "-c", conf, "-s", str(PROXY - 1), "-o", os.path.join(d, "log"), "-a", "127.0.0.1"])
        try:
            for i in range(0, N, 100):
                text = b"".join(b"set %s 0 0 1\r\nv\r\n" % key(j) for j in range(i, i + 100))
                answer = talk(("127.0.0.1", PROXY), text, b"STORED\r\n" * 100)
        finally:
            p.terminate()
            p.wait()
    add("nutcracker", rule, port, weights, placement(port))

def with_proxy(rule, options, port):
    flush(port)
    with tempfile.TemporaryDirectory() as d:
        conf = os.path.join(d, "conf.lua")
        with open(conf, "w") as f:
            f.write("function mcp_config_pools(old)\n  return mcp.pool({%s}, {%s})\nend\n" % (
                ", ".join('mcp.backend("b%d", "%s", %d)' % (n, h, port) for n, h in enumerate(HOSTS)), options))
            f.write("function mcp_config_routes(pool)\n  mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return pool(r) end)\nend\n")
        os.chmod(d, 0o755)
        p = subprocess.Popen([os.environ["PROXY_MEMCACHED"], "-u", "nobody", "-U", "0", "-l", "127.0.0.1", "-p", str(PROXY), "-o", "proxy_config=" + conf])
        try:
            for i in range(N):
                assert talk(("127.0.0.1", PROXY), b"set %s 0 0 1\r\nv\r\n" % key(i), b"\r\n") == b"STORED\r\n"
        finally:
            p.terminate()
            p.wait()
    add("memcached 1.6.18's proxy", rule, port, [1, 1, 1, 1], placement(port))

servers = [subprocess.Popen(["memcached", "-u", "nobody", "-U", "0", "-l", h, "-p", str(p)]) for p in PORTS for h in HOSTS]
try:
    time.sleep(1)
    EQUAL, UNEQUAL = [1, 1, 1, 1], [1, 2, 3, 10]
    for port in PORTS:
        for h in ("default", "md5", "crc", "fnv1_32", "fnv1_64", "fnv1a_32", "fnv1a_64"):
            with_pylibmc("libmemcached-modula/" + h, {"hash": h, "distribution": "modula"}, port, EQUAL)
        for h in ("default", "md5", "crc", "fnv1_32", "fnv1_64", "fnv1a_32", "fnv1a_64"):
            with_pylibmc("libmemcached-consistent/" + h, {"hash": h, "distribution": "consistent"}, port, EQUAL)
        with_pylibmc("libmemcached-consistent/default", {"ketama": True}, port, EQUAL)
        with_pylibmc("libmemcached-ketama-weighted", {"ketama_weighted": True}, port, EQUAL)
        with_pylibmc("libmemcached-ketama-weighted", {"ketama_weighted": True}, port, UNEQUAL)
        for weights in (EQUAL, UNEQUAL):
            for h in ("one_at_a_time", "md5", "crc32", "crc32a", "fnv1_32", "fnv1_64", "fnv1a_32", "fnv1a_64"):
                with_nutcracker("twemproxy-ketama/" + h, "ketama", h, port, weights)
                with_nutcracker("twemproxy-modula/" + h, "modula", h, port, weights)
        with_proxy("memcached-proxy", "dist = mcp.dist_jump_hash", port)
        for omode in ("ketama", "twemproxy", "evcache"):
            options = 'dist = mcp.dist_ring_hash, omode = "%s"' % omode
            with_proxy("memcached-proxy-ring/" + omode, options + ", hash = mcp.dist_ring_hash.hash", port)
            with_proxy("memcached-proxy-ring-xxh3/" + omode, options, port)
finally:
    for s in servers:
        s.terminate()
        s.wait()
print("[\n" + ",\n".join(json.dumps(v) for v in vectors) + "\n]")
