/* gmp N [COUNT]: computes F(N) in decimal COUNT times, as GMP does it: mpz_fib_ui, mpz_get_str.
   Prints how long each time took, in nanoseconds, and the number of digits. */

#include <gmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    unsigned long n = strtoul(argv[1], NULL, 10);
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
    size_t len = 0;
    double begin = seconds();
    for (long i = 0; i < count; i++) {
        mpz_t number;
        mpz_init(number);
        mpz_fib_ui(number, n);
        char *digits = mpz_get_str(NULL, 10, number);
        len = strlen(digits);
        free(digits);
        mpz_clear(number);
    }
    printf("%.1f ns, %zu digits\n", (seconds() - begin) / count * 1e9, len);
    return 0;
}
