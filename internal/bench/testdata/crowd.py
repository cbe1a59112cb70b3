# What internal/bench/crowd is, with kazoo's Lock: one client for each
# contender, because a session is what is lost when a program dies.
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler

hosts, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
threading.stack_size(256 * 1024)
mouth = threading.Lock()
door = threading.BoundedSemaphore(4)
orders = {"release": threading.Semaphore(0), "rejoin": threading.Semaphore(0)}


def say(text):
    with mouth:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def contender(i):
    try:
        with door:
            client = KazooClient(hosts=hosts, timeout=20, handler=SequentialThreadingHandler())
            client.start(timeout=60)
        while True:
            lock = client.Lock(path, str(i))
            say("joined %d" % i)  # asked for; the key is there a little later
            lock.acquire()
            say("granted %d %d" % (i, time.monotonic_ns()))
            orders["release"].acquire()
            at = time.monotonic_ns()
            lock.release()
            say("released %d %d" % (i, at))
            orders["rejoin"].acquire()
    except Exception as e:
        say("failed %d %s: %s" % (i, type(e).__name__, e))


say("ready")
for line in sys.stdin:
    order = line.strip()
    if order == "go":
        for i in range(count):
            threading.Thread(target=contender, args=(i,), daemon=True).start()
    elif order == "beats":
        say("beats 0")
    else:
        orders[order].release()
