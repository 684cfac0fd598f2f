"""The Fibonacci service in Python on asyncio, computing on its loop.

A protocol, because streams put a task and a second buffer between the socket and the answer.
Usage: asyncio_protocol.py HOST PORT [uvloop]. It prints where it listens, as fib-server does.
"""

import asyncio
import sys

from service import answer, cut, listen

if sys.argv[3:] == ["uvloop"]:
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop


class Conversation(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.kept = b""

    def data_received(self, chunk):
        try:
            lines, self.kept = cut(self.kept + chunk)
        except ValueError:
            self.transport.close()
            return
        if lines:
            self.transport.write(answer(lines))

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Conversation, sock=listen())
    await server.serve_forever()


new_event_loop().run_until_complete(serve())
