/* One Fibonacci number, for the comparison of compilers. Usage: fib N. */
#include "fib.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: fib N\n");
        return 2;
    }
    printf("%lu\n", fib(strtoul(argv[1], NULL, 10)));
}
