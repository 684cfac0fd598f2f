/* The cheapest closed-loop client: a thread for each connection, a blocking write and read for each
 * request. What a request costs it is the floor for any load tester.
 *
 * Usage: client HOST PORT CONNECTIONS SECONDS. Prints the requests and the CPU time of all threads.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in server;
static double end;

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
    char reply[100];
    long requests = 0;
    while (now(CLOCK_MONOTONIC) < end) {
        if (write(sock, "1\n", 2) != 2 || read(sock, reply, sizeof reply) != 2 || reply[0] != '1') {
            fprintf(stderr, "no answer, or a wrong one\n");
            exit(1);
        }
        requests++;
    }
    *(long *)count = requests;
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: client HOST PORT CONNECTIONS SECONDS\n");
        return 2;
    }
    int connections = atoi(argv[3]);
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = inet_addr(argv[1]);
    server.sin_port = htons(atoi(argv[2]));
    end = now(CLOCK_MONOTONIC) + atof(argv[4]);
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
