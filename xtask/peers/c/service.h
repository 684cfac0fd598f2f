/* What the Fibonacci services in C share: the numbers, the lines, and the listening socket. */
#include "fib.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    INPUT_MAX = 8192,
    N_MAX = 93, /* the last that fits an unsigned long */
    REPLY_MAX = 32,
    OUTPUT_MAX = INPUT_MAX * REPLY_MAX, /* each byte may be an empty line */
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Writes the decimal digits of a number; returns where they end. */
static char *decimal(char *to, unsigned long number) {
    char digits[REPLY_MAX];
    int length = 0;
    do digits[length++] = '0' + number % 10;
    while (number /= 10);
    while (length > 0) *to++ = digits[--length];
    return to;
}

/* Writes the reply to one line; returns where it ends. */
static char *answer(char *to, const char *line, const char *end) {
    unsigned long n = 0;
    const char *at = line;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (n <= N_MAX) n = n * 10 + (*at - '0');
    if (at == line || at < end) return stpcpy(to, "ERR parse not a number\n");
    if (n > N_MAX) return stpcpy(to, "ERR range 0 to 93\n");
    to = decimal(to, fib(n));
    *to++ = '\n';
    return to;
}

/* Writes the replies to all complete lines and moves `to` behind them; returns where the incomplete
 * one begins. */
static char *answer_all(char **to, char *line, const char *end) {
    char *newline;
    while ((newline = memchr(line, '\n', end - line))) {
        *to = answer(*to, line, newline);
        line = newline + 1;
    }
    return line;
}

/* Says where, as fib-server does. */
static int listen_on(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s HOST PORT\n", argv[0]);
        exit(2);
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    socklen_t length = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail(argv[1]);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    if (listen(listener, BACKLOG) != 0) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("listening on %s:%d\n", argv[1], ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void send_at_once(int client) {
    int one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}
