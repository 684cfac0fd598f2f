"""The Fibonacci service in Python, on asyncio's event loop, which computes, too.

A protocol and not streams, which cost a task and a future for each read. With `uvloop` behind the
port it runs on that loop, which is written in C and comes from PyPI.
Usage: asyncio_server.py HOST PORT [uvloop]. It prints where it listens, as fib-server does.
"""

import asyncio
import sys

from fib import Lines, answer


class Conversation(asyncio.Protocol):
    def connection_made(self, transport):  # TCP_NODELAY is asyncio's own default
        self.transport = transport
        self.lines = Lines()

    def data_received(self, received):
        self.transport.write(b"".join(map(answer, self.lines.cut(received))))
        if self.lines.is_too_long():
            self.transport.close()

    # A client that does not read is not read from either.
    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def serve(host, port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Conversation, host, port, backlog=1024)
    print("listening on %s:%d" % server.sockets[0].getsockname()[:2], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[3:] == ["uvloop"]:
        import uvloop

        uvloop.install()
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
