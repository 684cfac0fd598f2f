"""The Fibonacci service in Python, a thread for each client; the interpreter's lock lets one compute.

As in D. Beazley's "Python Concurrency From the Ground Up", but that a request is a line.
Usage: threads.py HOST PORT. It prints where it listens, as fib-server does.
"""

import sys
from threading import Thread

from blocking import clients, talk


def main(host, port):
    for client in clients(host, port):
        Thread(target=talk, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
