/* The cheapest closed-loop client: a thread for each connection, a blocking write for as many
 * requests as it keeps under way, and blocking reads until all are answered. What a request costs it
 * is the floor for any load tester.
 *
 * Usage: client HOST PORT CONNECTIONS SECONDS [DEPTH]. Prints the requests and the CPU time of all
 * threads.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in server;
static double end;
static long depth = 1;

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void *load(void *count) {
    int one = 1, sock = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(sock, (struct sockaddr *)&server, sizeof server) != 0) {
        perror("connect");
        exit(1);
    }
    /* fib(1) is 1: what is asked is what is answered. */
    long len = 2 * depth, requests = 0;
    char *asked = malloc(len), *answered = malloc(len);
    for (long i = 0; i < depth; i++) memcpy(asked + 2 * i, "1\n", 2);
    while (now(CLOCK_MONOTONIC) < end) {
        long got = 0, more = write(sock, asked, len) == len;
        while (more > 0 && got < len) got += more = read(sock, answered + got, len - got);
        if (got != len || memcmp(asked, answered, len) != 0) {
            fprintf(stderr, "no answer, or a wrong one\n");
            exit(1);
        }
        requests += depth;
    }
    *(long *)count = requests;
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: client HOST PORT CONNECTIONS SECONDS [DEPTH]\n");
        return 2;
    }
    int connections = atoi(argv[3]);
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = inet_addr(argv[1]);
    server.sin_port = htons(atoi(argv[2]));
    end = now(CLOCK_MONOTONIC) + atof(argv[4]);
    if (argc > 5) depth = atol(argv[5]);
    pthread_t threads[connections];
    long counts[connections], requests = 0;
    for (int i = 0; i < connections; i++) pthread_create(&threads[i], NULL, load, &counts[i]);
    for (int i = 0; i < connections; i++) {
        pthread_join(threads[i], NULL);
        requests += counts[i];
    }
    double cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    printf("%ld requests, %.3f CPU us a request\n", requests, cpu * 1e6 / requests);
}
