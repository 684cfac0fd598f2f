"""What all the Python servers share: the numbers, and from received bytes to replies.

`FIB_ALGORITHM=doubling` computes F(n) by fast doubling; otherwise all calls of the recursion are
made, as in D. Beazley's "Python Concurrency From the Ground Up".
"""

import os
import sys

# No request is longer, without its newline.
LINE_MAX = 64

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)  # an answer may have more digits than Python likes to print


def recursive(n):
    if n <= 2:
        return 1
    return recursive(n - 1) + recursive(n - 2)


def doubling(n):
    a, b = 0, 1  # F(0) and F(1)
    for bit in bin(n)[2:]:
        a, b = a * (2 * b - a), a * a + b * b
        if bit == "1":
            a, b = b, a + b
    return a


fib = doubling if os.environ.get("FIB_ALGORITHM") == "doubling" else recursive


def answer(line):
    try:
        n = int(line)
    except ValueError:
        return b"ERR parse not a number\n"
    if n < 0:
        return b"ERR range not a positive number\n"
    return b"%d\n" % (fib(n) if n > 0 else 0)


class Lines:
    """Received bytes, cut into lines. An incomplete one is kept until the rest comes."""

    def __init__(self):
        self.rest = b""

    def cut(self, received):
        *lines, self.rest = (self.rest + received).split(b"\n")
        return lines

    def is_too_long(self):
        return len(self.rest) > LINE_MAX
