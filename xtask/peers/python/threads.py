"""The Fibonacci service in Python: a thread for each client.

Usage: threads.py HOST PORT. It prints where it listens, as fib-server does.
"""

from threading import Thread

from service import answer, clients, converse, listen


def serve(answer):
    for client in clients(listen()):
        try:
            Thread(target=converse, args=(client, answer), daemon=True).start()
        except RuntimeError:
            client.close()  # the system has no thread left for it


if __name__ == "__main__":
    serve(answer)
