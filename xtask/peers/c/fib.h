/* The recursion as everybody writes it, for gcc to do its best. */
static unsigned long fib(unsigned long n) {
    return n <= 2 ? 1 : fib(n - 1) + fib(n - 2);
}
