"""The client of D. Beazley's demo (its perf2.py): sends `1` without a newline, waits, repeats.

Usage: demo_client.py HOST PORT SECONDS. Prints the requests per second.
"""

import sys
import time
from socket import create_connection


def main(host, port, seconds):
    sock = create_connection((host, port))
    requests = 0
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        sock.send(b"1")
        reply = sock.recv(100)
        if reply != b"1\n":
            sys.exit("not an answer: %r" % reply)
        requests += 1
    print("%d reqs/s" % (requests / (time.monotonic() - begin)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
