"""The Fibonacci service in Python: coroutines on a select loop, and a pool of processes.

As in D. Beazley's "Python Concurrency From the Ground Up": generators yield what they wait for,
a loop resumes them, a self-pipe wakes it when a process has an answer; a received chunk is a
request. Every request goes to the pool, as there.
Usage: coroutines.py HOST PORT. It prints where it listens, as fib-server does.
"""

import sys
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import IPPROTO_TCP, TCP_NODELAY, create_server, socketpair


def fib(n):
    if n <= 2:
        return 1
    return fib(n - 1) + fib(n - 2)


class Loop:
    def __init__(self):
        self.ready = deque()
        self.selector = DefaultSelector()
        self.wake_receiver, self.wake_sender = socketpair()
        self.finished = deque()

    def spawn(self, task):
        self.ready.append(task)

    def run(self):
        self.spawn(self.resume_finished())
        while True:
            while self.ready:
                self.step(self.ready.popleft())
            for key, _ in self.selector.select():
                self.selector.unregister(key.fileobj)
                self.ready.append(key.data)

    def step(self, task):
        try:
            what, subject = next(task)
        except StopIteration:
            return
        if what == "future":
            subject.add_done_callback(lambda _: self.finish(task))
        else:
            self.selector.register(subject, what, task)

    def finish(self, task):
        self.finished.append(task)
        self.wake_sender.send(b"!")

    def resume_finished(self):
        while True:
            yield EVENT_READ, self.wake_receiver
            self.wake_receiver.recv(100)
            while self.finished:
                self.ready.append(self.finished.popleft())


def accept(loop, pool, server):
    while True:
        yield EVENT_READ, server
        client, _ = server.accept()
        client.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)
        loop.spawn(talk(pool, client))


def talk(pool, client):
    with client:
        while True:
            yield EVENT_READ, client
            try:
                chunk = client.recv(100)
                if not chunk:
                    return
                future = pool.submit(fib, int(chunk))
            except (OSError, ValueError):
                return  # the client is gone, or sent no number
            yield "future", future
            yield EVENT_WRITE, client
            try:
                client.sendall(b"%d\n" % future.result())
            except OSError:
                return


def serve(host, port):
    with ProcessPoolExecutor() as pool:
        pool.submit(fib, 1).result()  # its processes exist before clients do
        server = create_server((host, port), backlog=128)
        print("listening on %s:%d" % server.getsockname()[:2], flush=True)
        loop = Loop()
        loop.spawn(accept(loop, pool, server))
        loop.run()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
