"""How the Python servers with blocking sockets listen and talk; they differ in who does it."""

from socket import IPPROTO_TCP, TCP_NODELAY, create_server

from fib import Lines, answer


def clients(host, port):
    server = create_server((host, port), backlog=1024)
    print("listening on %s:%d" % server.getsockname()[:2], flush=True)
    while True:
        client, _ = server.accept()
        client.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)
        yield client


def talk(client, answers=lambda lines: map(answer, lines)):
    """Answers until the client leaves; all lines of a read with one write."""
    lines = Lines()
    with client:
        try:
            while received := client.recv(65536):
                client.sendall(b"".join(answers(lines.cut(received))))
                if lines.is_too_long():
                    return
        except OSError:
            pass  # the client is gone
