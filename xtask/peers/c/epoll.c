/* The Fibonacci service in C: one thread on epoll. It answers all lines of a read with one write,
 * and does not read on while a client does not take its replies. What a request costs it is the
 * floor for an event loop; who asks for much makes all others wait.
 *
 * Usage: epoll HOST PORT. It prints where it listens, as fib-server does.
 */
#define _GNU_SOURCE
#include "service.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

enum {
    EVENTS_MAX = 256, /* of one look at what is ready */
    LINE_MAX = 64,    /* an incomplete line that is longer ends its connection */
};

struct client {
    int sock;
    int kept_length;
    char kept[LINE_MAX];       /* the beginning of a line */
    char *unsent, *from, *end; /* replies that the socket did not take, or NULL */
};

static char input[INPUT_MAX], output[OUTPUT_MAX];

static void watch(int poll, int change, struct client *client, unsigned int events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(poll, change, client->sock, &event) != 0) fail("epoll_ctl");
}

static void forget(struct client *client) {
    close(client->sock);
    free(client->unsent);
    free(client);
}

/* Sends until the socket takes no more; returns where it stopped, or NULL if the client is gone. */
static char *send_some(int sock, char *from, const char *end) {
    while (from < end) {
        ssize_t sent = write(sock, from, end - from);
        if (sent > 0) from += sent;
        else if (errno == EAGAIN) break;
        else return NULL;
    }
    return from;
}

/* Returns whether the client stays. */
static int answer_client(int poll, struct client *client) {
    memcpy(input, client->kept, client->kept_length);
    char *begin = input + client->kept_length;
    ssize_t received = read(client->sock, begin, input + INPUT_MAX - begin);
    if (received <= 0) return received < 0 && errno == EAGAIN;
    char *to = output, *end = begin + received;
    char *rest = answer_all(&to, input, end);
    if (end - rest > LINE_MAX) return 0;
    client->kept_length = end - rest;
    memcpy(client->kept, rest, client->kept_length);
    char *from = send_some(client->sock, output, to);
    if (from && from < to) {
        client->from = client->unsent = malloc(to - from);
        if (!client->unsent) fail("malloc");
        client->end = mempcpy(client->unsent, from, to - from);
        watch(poll, EPOLL_CTL_MOD, client, EPOLLOUT);
    }
    return from != NULL;
}

/* Returns whether the client stays. */
static int send_rest(int poll, struct client *client) {
    client->from = send_some(client->sock, client->from, client->end);
    if (client->from == client->end) {
        free(client->unsent);
        client->unsent = NULL;
        watch(poll, EPOLL_CTL_MOD, client, EPOLLIN);
    }
    return client->from != NULL;
}

static void accept_all(int poll, int listener) {
    int sock;
    while ((sock = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        if (!client) fail("calloc");
        client->sock = sock;
        send_at_once(sock);
        watch(poll, EPOLL_CTL_ADD, client, EPOLLIN);
    }
}

int main(int argc, char **argv) {
    struct epoll_event events[EVENTS_MAX];
    struct client listener = {.sock = listen_on(argc, argv)};
    int poll = epoll_create1(0);
    if (poll < 0 || fcntl(listener.sock, F_SETFL, O_NONBLOCK) != 0) fail("epoll");
    watch(poll, EPOLL_CTL_ADD, &listener, EPOLLIN);
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS_MAX, -1);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (client == &listener) accept_all(poll, listener.sock);
            else if (!(client->unsent ? send_rest : answer_client)(poll, client)) forget(client);
        }
    }
}
