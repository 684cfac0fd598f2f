"""The Fibonacci service in Python, a thread for each client and a pool of processes that compute.

As in D. Beazley's "Python Concurrency From the Ground Up", every request goes to the pool; but a
request is a line.
Usage: threads_processes.py HOST PORT. It prints where it listens, as fib-server does.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from threading import Thread

from blocking import clients, talk
from fib import answer


def main(host, port):
    with ProcessPoolExecutor() as pool:
        pool.submit(answer, b"1").result()  # its processes exist before threads do

        def answers(lines):
            # All of them are under way before the first is waited for.
            futures = [pool.submit(answer, line) for line in lines]
            return [future.result() for future in futures]

        for client in clients(host, port):
            Thread(target=talk, args=(client, answers), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
