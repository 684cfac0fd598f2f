"""The Fibonacci service in Python, one client at a time.

Usage: synchronous.py HOST PORT. It prints where it listens, as fib-server does.
"""

from service import answer, clients, converse, listen

for client in clients(listen()):
    converse(client, answer)
