"""What the Fibonacci services in Python share: the numbers, the lines, and the sockets.

FIB_ALGORITHM=doubling answers by fast doubling; without it every call of the recursion is made.
"""

import os
import sys
from socket import IPPROTO_TCP, TCP_NODELAY, create_server

BACKLOG = 4096
CHUNK = 8192  # bytes of a read
LINE_MAX = 4096  # an incomplete line that is longer ends its connection


def recursive(n):
    if n <= 2:
        return 1
    return recursive(n - 1) + recursive(n - 2)


def doubling(n):
    a, b = pair(n >> 1)
    return a * a + b * b if n & 1 else a * (2 * b - a)


def pair(n):
    """F(n) and F(n + 1)."""
    a, b = 0, 1
    for bit in bin(n)[2:]:
        a, b = a * (2 * b - a), a * a + b * b
        if bit == "1":
            a, b = b, a + b
    return a, b


if os.environ.get("FIB_ALGORITHM") == "doubling":
    fib, N_MAX = doubling, 1_000_000
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
else:
    fib, N_MAX = recursive, 93


def answer(lines):
    """The replies to complete lines, in order."""
    return b"".join([reply(line) for line in lines.split(b"\n")[:-1]])


def reply(line):
    try:
        n = int(line)
    except ValueError:
        return b"ERR parse not a number\n"
    if not 0 <= n <= N_MAX:
        return b"ERR range 0 to %d\n" % N_MAX
    return b"%d\n" % fib(n)


def cut(received):
    """Complete lines, and the beginning of the next one."""
    end = received.rfind(b"\n") + 1
    if len(received) - end > LINE_MAX:
        raise ValueError("an endless line")
    return received[:end], received[end:]


def converse(client, answer):
    """Answers all lines of a read with one write, until the client is gone."""
    kept = b""
    with client:
        try:
            while chunk := client.recv(CHUNK):
                lines, kept = cut(kept + chunk)
                if lines:
                    client.sendall(answer(lines))
        except (OSError, ValueError):
            pass  # the client is gone, or its line has no end


def listen():
    """Says where, as fib-server does."""
    server = create_server((sys.argv[1], int(sys.argv[2])), backlog=BACKLOG)
    print("listening on %s:%d" % server.getsockname()[:2], flush=True)
    return server


def clients(server):
    while True:
        try:
            client, _ = server.accept()
            client.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)
        except OSError:
            continue  # it was gone before it was served
        yield client
