"""The Fibonacci service in Python: coroutines on a hand-made loop, and a pool of processes.

As in D. Beazley's "Python Concurrency From the Ground Up": generators yield what they wait for,
a loop resumes them, a self-pipe wakes it when a process has an answer. Every request goes to the
pool, as there, cheap ones too: the lines of a read as one job, so that a pipeline pays for the way
there once.
Usage: coroutines.py HOST PORT. It prints where it listens, as fib-server does.
"""

from collections import deque
from concurrent.futures import ProcessPoolExecutor
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import socketpair

from service import CHUNK, answer, clients, cut, listen


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
            self.wake_receiver.recv(CHUNK)
            while self.finished:
                self.ready.append(self.finished.popleft())


def accept(loop, pool, server):
    accepted = clients(server)
    while True:
        yield EVENT_READ, server
        client = next(accepted)
        client.setblocking(False)
        loop.spawn(converse(pool, client))


def converse(pool, client):
    kept = b""
    with client:
        try:
            while True:
                yield EVENT_READ, client
                chunk = client.recv(CHUNK)
                if not chunk:
                    return
                lines, kept = cut(kept + chunk)
                if lines:
                    future = pool.submit(answer, lines)
                    yield "future", future
                    yield from send_all(client, future.result())
        except (OSError, ValueError):
            pass  # the client is gone, or its line has no end


def send_all(client, replies):
    """Waits only when the socket takes no more."""
    replies = memoryview(replies)
    while replies:
        try:
            replies = replies[client.send(replies) :]
        except BlockingIOError:
            yield EVENT_WRITE, client


def main():
    with ProcessPoolExecutor() as pool:
        pool.submit(answer, b"1\n").result()  # its processes exist before clients do
        server = listen()
        loop = Loop()
        loop.spawn(accept(loop, pool, server))
        loop.run()


if __name__ == "__main__":
    main()
