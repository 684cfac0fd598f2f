"""The Fibonacci service in Python, one client at a time.

As in D. Beazley's "Python Concurrency From the Ground Up": a received chunk is a request.
Usage: synchronous.py HOST PORT. It prints where it listens, as fib-server does.
"""

import sys
from socket import IPPROTO_TCP, TCP_NODELAY, create_server


def fib(n):
    if n <= 2:
        return 1
    return fib(n - 1) + fib(n - 2)


def serve(host, port):
    server = create_server((host, port), backlog=128)
    print("listening on %s:%d" % server.getsockname()[:2], flush=True)
    while True:
        client, _ = server.accept()
        client.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)
        with client:
            talk(client)


def talk(client):
    try:
        while chunk := client.recv(100):
            client.sendall(b"%d\n" % fib(int(chunk)))
    except (OSError, ValueError):
        pass  # the client is gone, or sent no number: the next one, please


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
