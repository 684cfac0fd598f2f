/* A load for servers with other line protocols: threads with a share of the connections each, an
 * epoll loop, and as many lines under way on each connection as wanted. Each reply must be equal to
 * the first one. It does nothing else, so that what it measures is the server.
 *
 * Usage: line_client HOST PORT CONNECTIONS DEPTH THREADS SECONDS LINE. Prints the replies, and the
 * seconds in which they came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { READ_MAX = 1 << 16, REPLY_MAX = 256, CONNECTIONS_MAX = 1024 };

static struct sockaddr_in server;
static long depth;
static double end;
static char *lines; /* as many as are under way at a time */
static size_t line_length;
static char reply[REPLY_MAX]; /* the first one */
static size_t reply_length;

struct share {
    int connections;
    long replies;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int open_connection(void) {
    int one = 1, sock = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(sock, (struct sockaddr *)&server, sizeof server) != 0) fail("connect");
    return sock;
}

/* A server that reads what it answers takes so many lines without being read from. */
static void ask(int sock, long count) {
    size_t left = count * line_length;
    for (const char *from = lines; left > 0;) {
        ssize_t sent = write(sock, from, left);
        if (sent <= 0) fail("write");
        from += sent;
        left -= sent;
    }
}

static void learn_the_reply(void) {
    int sock = open_connection();
    ask(sock, 1);
    while (!memchr(reply, '\n', reply_length)) {
        ssize_t got = read(sock, reply + reply_length, REPLY_MAX - reply_length);
        if (got <= 0) fail("the first reply");
        reply_length += got;
    }
    close(sock);
}

/* Compares what came with replies without end, from this place in one; counts their ends. */
static long check(const char *from, const char *to, size_t *place) {
    long replies = 0;
    while (from < to) {
        size_t length = reply_length - *place;
        if (length > (size_t)(to - from)) length = to - from;
        if (memcmp(from, reply + *place, length) != 0) {
            fprintf(stderr, "a reply that is not like the first one\n");
            exit(1);
        }
        from += length;
        *place += length;
        if (*place == reply_length) {
            *place = 0;
            replies++;
        }
    }
    return replies;
}

static void *load(void *argument) {
    struct share *share = argument;
    int loop = epoll_create1(0), socks[CONNECTIONS_MAX];
    size_t places[CONNECTIONS_MAX] = {0};
    struct epoll_event events[CONNECTIONS_MAX];
    char *received = malloc(READ_MAX);
    if (!received) fail("malloc");
    for (int i = 0; i < share->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        socks[i] = open_connection();
        epoll_ctl(loop, EPOLL_CTL_ADD, socks[i], &event);
        ask(socks[i], depth);
    }
    while (now() < end) {
        int count = epoll_wait(loop, events, CONNECTIONS_MAX, 100);
        for (int i = 0; i < count; i++) {
            int at = events[i].data.u32;
            ssize_t got = read(socks[at], received, READ_MAX);
            if (got <= 0) fail("read");
            long replies = check(received, received + got, &places[at]);
            ask(socks[at], replies);
            share->replies += replies;
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: line_client HOST PORT CONNECTIONS DEPTH THREADS SECONDS LINE\n");
        return 2;
    }
    int connections = atoi(argv[3]), threads = atoi(argv[5]);
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = inet_addr(argv[1]);
    server.sin_port = htons(atoi(argv[2]));
    depth = atol(argv[4]);
    if (connections < 1 || connections > CONNECTIONS_MAX || depth < 1 || threads < 1) return 2;
    line_length = strlen(argv[7]) + 2;
    lines = malloc(depth * line_length + 1);
    if (!lines) fail("malloc");
    for (long i = 0; i < depth; i++) sprintf(lines + i * line_length, "%s\r\n", argv[7]);
    learn_the_reply();
    double begin = now();
    end = begin + atof(argv[6]);
    pthread_t ids[threads];
    struct share shares[threads];
    for (int i = 0; i < threads; i++) {
        shares[i] = (struct share){.connections = connections / threads + (i < connections % threads)};
        pthread_create(&ids[i], NULL, load, &shares[i]);
    }
    long replies = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        replies += shares[i].replies;
    }
    printf("%ld %.6f\n", replies, now() - begin);
}
