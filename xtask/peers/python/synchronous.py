"""The Fibonacci service in Python, one client at a time.

As in D. Beazley's "Python Concurrency From the Ground Up", but that a request is a line.
Usage: synchronous.py HOST PORT. It prints where it listens, as fib-server does.
"""

import sys

from blocking import clients, talk


def main(host, port):
    for client in clients(host, port):
        talk(client)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
