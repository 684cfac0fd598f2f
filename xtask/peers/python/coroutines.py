"""The Fibonacci service in Python: coroutines on a select loop, and a pool of processes.

As in D. Beazley's "Python Concurrency From the Ground Up": generators yield what they wait for,
a loop resumes them, a self-pipe wakes it when a process has an answer. Every request goes to the
pool, as there; but a request is a line, and all lines of a read are computed at the same time.
Usage: coroutines.py HOST PORT. It prints where it listens, as fib-server does.
"""

import sys
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import IPPROTO_TCP, TCP_NODELAY, create_server, socketpair

from fib import Lines, answer


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
        client.setblocking(False)
        client.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)
        loop.spawn(talk(pool, client))


def talk(pool, client):
    lines = Lines()
    with client:
        try:
            while not lines.is_too_long():
                yield EVENT_READ, client
                received = client.recv(65536)
                if not received:
                    return
                futures = [pool.submit(answer, line) for line in lines.cut(received)]
                replies = []
                for future in futures:
                    if not future.done():
                        yield "future", future
                    replies.append(future.result())
                unsent = memoryview(b"".join(replies))
                while unsent:
                    yield EVENT_WRITE, client
                    unsent = unsent[client.send(unsent) :]
        except OSError:
            pass  # the client is gone


def serve(host, port):
    with ProcessPoolExecutor() as pool:
        pool.submit(answer, b"1").result()  # its processes exist before clients do
        server = create_server((host, port), backlog=1024)
        print("listening on %s:%d" % server.getsockname()[:2], flush=True)
        loop = Loop()
        loop.spawn(accept(loop, pool, server))
        loop.run()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
