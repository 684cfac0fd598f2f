// Package fib is the recursion as everybody writes it, for the Go compiler to do its best, and fast
// doubling.
package fib

import (
	"math/big"
	"math/bits"
)

// Recursive makes all calls of the two-branch recursion.
func Recursive(n int) int {
	if n <= 2 {
		return 1
	}
	return Recursive(n-1) + Recursive(n-2)
}

// Doubling computes F(2k) and F(2k+1) from F(k) and F(k+1), a bit of n at a time.
func Doubling(n int) *big.Int {
	a, b := big.NewInt(0), big.NewInt(1)
	c, d := new(big.Int), new(big.Int)
	for bit := bits.Len(uint(n)) - 1; bit >= 0; bit-- {
		c.Lsh(b, 1).Sub(c, a).Mul(c, a)
		d.Mul(b, b)
		d.Add(d, b.Mul(a, a))
		if n>>bit&1 == 0 {
			a, b, c, d = c, d, a, b
		} else {
			c.Add(c, d)
			a, b, c, d = d, c, a, b
		}
	}
	return a
}
