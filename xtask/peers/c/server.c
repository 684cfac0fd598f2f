/* The Fibonacci service in C: a thread for each client, and nothing between it and the socket.
 * It answers all lines of a read with one write. What a request costs it is the floor for a server
 * that blocks.
 *
 * Usage: server HOST PORT. It prints where it listens, as fib-server does.
 */
#include "fib.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INPUT_MAX = 8192,
    N_MAX = 93, /* the last that fits an unsigned long */
    REPLY_MAX = 24,
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
    if (at == line || at < end || n > N_MAX) {
        static const char refusal[] = "ERR parse not a number\n";
        memcpy(to, refusal, sizeof refusal - 1);
        return to + sizeof refusal - 1;
    }
    to = decimal(to, fib(n));
    *to++ = '\n';
    return to;
}

static int send_all(int sock, const char *from, const char *end) {
    while (from < end) {
        ssize_t sent = write(sock, from, end - from);
        if (sent <= 0) return -1;
        from += sent;
    }
    return 0;
}

static void *serve(void *client) {
    int sock = (int)(long)client;
    char *input = malloc(INPUT_MAX), *output = malloc(OUTPUT_MAX);
    if (!input || !output) fail("malloc");
    size_t kept = 0;
    ssize_t received;
    while ((received = read(sock, input + kept, INPUT_MAX - kept)) > 0) {
        const char *line = input, *end = input + kept + received, *newline;
        char *to = output;
        while ((newline = memchr(line, '\n', end - line))) {
            to = answer(to, line, newline);
            line = newline + 1;
        }
        kept = end - line;
        if (kept == INPUT_MAX || send_all(sock, output, to) != 0) break;
        memmove(input, line, kept);
    }
    close(sock);
    free(input);
    free(output);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: server HOST PORT\n");
        return 2;
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
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(long)client) != 0) fail("pthread_create");
        pthread_detach(thread);
    }
}
