/* The Fibonacci service in C: a thread for each client, and nothing between it and the socket.
 * It answers all lines of a read with one write. What a request costs it is the floor for a server
 * that blocks.
 *
 * Usage: server HOST PORT. It prints where it listens, as fib-server does.
 */
#define _GNU_SOURCE
#include "line.h"
#include <pthread.h>

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
        const char *rest = input, *end = input + kept + received;
        char *to = answer_lines(output, &rest, end);
        kept = end - rest;
        if (kept > LINE_MAX_LENGTH || send_all(sock, output, to) != 0) break;
        memmove(input, rest, kept);
    }
    close(sock);
    free(input);
    free(output);
    return NULL;
}

int main(int argc, char **argv) {
    int listener = listen_there(argc, argv);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        send_at_once(client);
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(long)client) != 0) fail("pthread_create");
        pthread_detach(thread);
    }
}
