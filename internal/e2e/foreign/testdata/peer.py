# A contender by kazoo's Lock: wait for it, run a command while it is held, release.
# peer.py HOSTS PATH SESSION_SECONDS PATTERN COMMAND...   PATTERN "" is kazoo's default.
import os
import subprocess
import sys

from kazoo.client import KazooClient

hosts, path, seconds, pattern = sys.argv[1:5]
zk = KazooClient(hosts=hosts, timeout=float(seconds))
zk.start()
options = {"extra_lock_patterns": [pattern]} if pattern else {}
lock = zk.Lock(path, "a kazoo peer", **options)
with lock:
    token = zk.exists(path + "/" + lock.node).czxid
    subprocess.run(sys.argv[5:], env=dict(os.environ, INTERLOCK_TOKEN=str(token)))
zk.stop()
