// Package fib is the recursion as everybody writes it, for the Go compiler to do its best.
package fib

// Recursive makes all calls of the two-branch recursion.
func Recursive(n int) int {
	if n <= 2 {
		return 1
	}
	return Recursive(n-1) + Recursive(n-2)
}
