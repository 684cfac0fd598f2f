/* The cheapest closed-loop client for services of lines: blocking sockets, one write for as many
 * requests as a connection keeps under way, and blocking reads until all are answered. A thread
 * turns to its connections one after the other, so that the others have requests under way
 * meanwhile. What a request costs it is the floor for any load tester.
 *
 * Usage: client HOST PORT CONNECTIONS SECONDS [DEPTH [THREADS [LINE]]]. As it comes each connection
 * has a thread, and a depth of 1. LINE, "1" as it comes, is asked over and over; every reply must
 * equal the first one. Prints the replies, their rate, and the CPU time of all threads. DEPTH
 * requests and their replies must fit the sockets' buffers.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    REPLY_MAX = 256,
    PATIENCE_S = 10, /* how long the server may be silent */
};

struct thread {
    pthread_t id;
    long connections, replies;
};

static struct sockaddr_in server;
static double end;
/* What a connection sends at once, and what must come back. */
static char *asked, *answered;
static long asked_length, answered_length, depth;

static void fail(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int dial(void) {
    int one = 1, sock = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(sock, (struct sockaddr *)&server, sizeof server) != 0) {
        perror("connect");
        exit(1);
    }
    return sock;
}

static void send_all(int sock, const char *from, long length) {
    if (write(sock, from, length) != length) fail("the server takes no more");
}

static void receive_all(int sock, char *to, long length) {
    for (long more; length > 0; to += more, length -= more) {
        more = read(sock, to, length);
        if (more <= 0) fail("no answer, or the connection was closed");
    }
}

/* As many copies of a line as a connection has under way; returns their length. */
static long repeat(char **to, const char *line, long length) {
    *to = malloc(length * depth);
    for (long i = 0; i < depth; i++) memcpy(*to + i * length, line, length);
    return length * depth;
}

/* Asks once, and so learns what every reply must be. */
static void learn(const char *line) {
    char request[strlen(line) + 2], reply[REPLY_MAX];
    long length = 0;
    int sock = dial();
    strcpy(stpcpy(request, line), "\n");
    send_all(sock, request, strlen(request));
    do {
        if (length == REPLY_MAX) fail("the reply is too long");
        receive_all(sock, reply + length, 1);
    } while (reply[length++] != '\n');
    close(sock);
    asked_length = repeat(&asked, request, strlen(request));
    answered_length = repeat(&answered, reply, length);
}

static void *load(void *argument) {
    struct thread *thread = argument;
    int socks[thread->connections];
    char *received = malloc(answered_length);
    for (long i = 0; i < thread->connections; i++) socks[i] = dial();
    for (long i = 0; i < thread->connections; i++) send_all(socks[i], asked, asked_length);
    for (long i = 0;; i = (i + 1) % thread->connections) {
        receive_all(socks[i], received, answered_length);
        if (memcmp(received, answered, answered_length) != 0) fail("not the first reply");
        thread->replies += depth;
        if (now(CLOCK_MONOTONIC) >= end) return NULL;
        send_all(socks[i], asked, asked_length);
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: client HOST PORT CONNECTIONS SECONDS [DEPTH [THREADS [LINE]]]\n");
        return 2;
    }
    int connections = atoi(argv[3]), threads = argc > 6 ? atoi(argv[6]) : connections;
    depth = argc > 5 ? atol(argv[5]) : 1;
    if (threads < 1 || threads > connections || depth < 1) fail("a number is out of range");
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = inet_addr(argv[1]);
    server.sin_port = htons(atoi(argv[2]));
    learn(argc > 7 ? argv[7] : "1");
    struct thread all[threads];
    double begin = now(CLOCK_MONOTONIC);
    long replies = 0;
    end = begin + atof(argv[4]);
    for (int i = 0; i < threads; i++) {
        long share = connections / threads + (i < connections % threads);
        all[i] = (struct thread){.connections = share};
        pthread_create(&all[i].id, NULL, load, &all[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(all[i].id, NULL);
        replies += all[i].replies;
    }
    double rate = replies / (now(CLOCK_MONOTONIC) - begin);
    double cpu_us = now(CLOCK_PROCESS_CPUTIME_ID) * 1e6 / replies;
    printf("%ld replies, %.0f a second, %.3f CPU us each\n", replies, rate, cpu_us);
}
