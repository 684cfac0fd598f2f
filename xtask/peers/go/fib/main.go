// The recursion as everybody writes it, for the Go compiler to do its best. Usage: fib N.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func fib(n int) int {
	if n <= 2 {
		return 1
	}
	return fib(n-1) + fib(n-2)
}

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "usage: fib N")
		os.Exit(2)
	}
	fmt.Println(fib(n))
}
