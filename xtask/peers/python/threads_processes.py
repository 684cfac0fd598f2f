"""The Fibonacci service in Python: a thread for each client, and a pool of processes.

As in D. Beazley's "Python Concurrency From the Ground Up" every request goes to the pool, cheap
ones too: the lines of a read as one job, so that a pipeline pays for the way there once.
Usage: threads_processes.py HOST PORT. It prints where it listens, as fib-server does.
"""

from concurrent.futures import ProcessPoolExecutor

from service import answer
from threads import serve

if __name__ == "__main__":
    with ProcessPoolExecutor() as pool:
        pool.submit(answer, b"1\n").result()  # its processes exist before clients do
        serve(lambda lines: pool.submit(answer, lines).result())
