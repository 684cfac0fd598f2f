/* The Fibonacci service in C: one thread, and a readiness loop over all clients. What a request
 * costs it is the floor for a server that waits for all its clients at once.
 *
 * A client that does not take its replies is not read from until it does.
 *
 * Usage: epoll HOST PORT. It prints where it listens, as fib-server does.
 */
#define _GNU_SOURCE
#include "line.h"
#include <errno.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 256 };

struct client {
    int sock;
    size_t kept; /* of the input: the beginning of a line */
    char input[LINE_MAX_LENGTH + 1];
    char *unsent, *unsent_from, *unsent_end; /* what the socket did not take */
};

static int loop;
static char input[INPUT_MAX], output[OUTPUT_MAX];

static void watch(struct client *client, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(loop, operation, client->sock, &event) != 0) fail("epoll_ctl");
}

static void end(struct client *client) {
    close(client->sock);
    free(client->unsent);
    free(client);
}

/* Sends what the socket takes and tells where the rest begins; NULL if the client is gone. */
static const char *send_some(int sock, const char *from, const char *to) {
    while (from < to) {
        ssize_t sent = send(sock, from, to - from, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (sent <= 0) return NULL;
        from += sent;
    }
    return from;
}

/* Keeps what the socket did not take, and waits until it does. */
static void keep(struct client *client, const char *from, const char *to) {
    client->unsent = malloc(to - from);
    if (!client->unsent) fail("malloc");
    memcpy(client->unsent, from, to - from);
    client->unsent_from = client->unsent;
    client->unsent_end = client->unsent + (to - from);
    watch(client, EPOLL_CTL_MOD, EPOLLOUT);
}

static void on_writable(struct client *client) {
    const char *rest = send_some(client->sock, client->unsent_from, client->unsent_end);
    if (!rest) return end(client);
    client->unsent_from = (char *)rest;
    if (rest == client->unsent_end) {
        free(client->unsent);
        client->unsent = NULL;
        watch(client, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void on_readable(struct client *client) {
    memcpy(input, client->input, client->kept);
    ssize_t received = read(client->sock, input + client->kept, INPUT_MAX - client->kept);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received <= 0) return end(client);
    const char *rest = input, *to = input + client->kept + received;
    char *replies = answer_lines(output, &rest, to);
    client->kept = to - rest;
    if (client->kept > LINE_MAX_LENGTH) return end(client);
    memcpy(client->input, rest, client->kept);
    const char *unsent = send_some(client->sock, output, replies);
    if (!unsent) return end(client);
    if (unsent < replies) keep(client, unsent, replies);
}

static void on_connection(int listener) {
    int sock = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (sock < 0) return;
    send_at_once(sock);
    struct client *client = calloc(1, sizeof *client);
    if (!client) fail("calloc");
    client->sock = sock;
    watch(client, EPOLL_CTL_ADD, EPOLLIN);
}

int main(int argc, char **argv) {
    int listener = listen_there(argc, argv);
    loop = epoll_create1(0);
    struct epoll_event waiting = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS_MAX];
    if (epoll_ctl(loop, EPOLL_CTL_ADD, listener, &waiting) != 0) fail("epoll_ctl");
    for (;;) {
        int count = epoll_wait(loop, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (!client) on_connection(listener);
            else if (client->unsent) on_writable(client);
            else on_readable(client);
        }
    }
}
