// The recursion alone. Usage: fib N.
package main

import (
	"fib"
	"fmt"
	"os"
	"strconv"
)

func main() {
	n, err := strconv.ParseUint(os.Args[1], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "usage: fib N")
		os.Exit(2)
	}
	fmt.Println(fib.Recursive(n))
}
