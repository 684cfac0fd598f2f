/* What both C servers share: where they listen, and from a line to its reply. */
#ifndef LINE_H
#define LINE_H
#include "fib.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INPUT_MAX = 8192,
    LINE_MAX_LENGTH = 64,
    N_MAX = 93, /* the last that fits an unsigned long */
    REPLY_MAX = 24, /* the longest number, and the longest refusal */
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
    while (at < end && *at >= '0' && *at <= '9' && n <= N_MAX) n = n * 10 + (*at++ - '0');
    if (n > N_MAX) return stpcpy(to, "ERR range over 93\n");
    if (at == line || at < end) return stpcpy(to, "ERR parse not a number\n");
    to = decimal(to, n ? fib(n) : 0);
    *to++ = '\n';
    return to;
}

/* Answers all complete lines; tells where the replies end, and what of the input is left. */
static char *answer_lines(char *to, const char **from, const char *end) {
    const char *newline;
    while ((newline = memchr(*from, '\n', end - *from))) {
        to = answer(to, *from, newline);
        *from = newline + 1;
    }
    return to;
}

/* Listens at HOST PORT of the arguments, and says where. */
static int listen_there(int argc, char **argv) {
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
    if (listen(listener, 4096) != 0) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("listening on %s:%d\n", argv[1], ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void send_at_once(int client) {
    int one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}
#endif
