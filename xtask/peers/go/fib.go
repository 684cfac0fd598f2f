// Package fib is the two-branch recursion as everybody writes it, for the Go compiler to do its
// best, and fast doubling on math/big.
package fib

import (
	"math/big"
	"math/bits"
)

// Recursive makes all calls of the two-branch recursion.
func Recursive(n uint64) uint64 {
	if n <= 2 {
		return 1
	}
	return Recursive(n-1) + Recursive(n-2)
}

// Doubling takes a step for each binary digit of n.
func Doubling(n uint64) *big.Int {
	a, b := pair(n / 2)
	if n%2 == 0 {
		return twice(a, b)
	}
	return squares(a, b)
}

// pair returns F(n) and F(n+1).
func pair(n uint64) (a, b *big.Int) {
	a, b = big.NewInt(0), big.NewInt(1)
	for bit := bits.Len64(n) - 1; bit >= 0; bit-- {
		a, b = twice(a, b), squares(a, b)
		if n>>bit&1 == 1 {
			a, b = b, a.Add(a, b)
		}
	}
	return a, b
}

// twice returns F(2k) = F(k) * (2F(k+1) - F(k)).
func twice(a, b *big.Int) *big.Int {
	c := new(big.Int).Lsh(b, 1)
	return c.Mul(a, c.Sub(c, a))
}

// squares returns F(2k+1) = F(k)^2 + F(k+1)^2.
func squares(a, b *big.Int) *big.Int {
	c, d := new(big.Int).Mul(a, a), new(big.Int).Mul(b, b)
	return c.Add(c, d)
}
