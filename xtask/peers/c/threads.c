/* The Fibonacci service in C: a thread for each client, and nothing between it and the socket.
 * It answers all lines of a read with one write. What a request costs it is the floor for a server
 * that blocks.
 *
 * Usage: threads HOST PORT. It prints where it listens, as fib-server does.
 */
#define _GNU_SOURCE
#include "service.h"
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
    size_t kept = 0;
    ssize_t received;
    if (!input || !output) fail("malloc");
    while ((received = read(sock, input + kept, INPUT_MAX - kept)) > 0) {
        char *to = output, *end = input + kept + received;
        char *rest = answer_all(&to, input, end);
        kept = end - rest;
        if (kept == INPUT_MAX || send_all(sock, output, to) != 0) break;
        memmove(input, rest, kept);
    }
    close(sock);
    free(input);
    free(output);
    return NULL;
}

int main(int argc, char **argv) {
    int listener = listen_on(argc, argv);
    for (;;) {
        pthread_t thread;
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        send_at_once(client);
        if (pthread_create(&thread, NULL, serve, (void *)(long)client) == 0) pthread_detach(thread);
        else close(client); /* the system has no thread left for it */
    }
}
