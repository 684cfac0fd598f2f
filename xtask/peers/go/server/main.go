// The Fibonacci service in Go: one client at a time, or a goroutine for each client, and nothing
// between it and the socket.
//
// Usage: server synchronous|goroutines ADDRESS. It prints where it listens, as fib-server does.
// FIB_ALGORITHM=doubling answers by fast doubling; without it every call of the recursion is made.
package main

import (
	"bytes"
	"errors"
	"fib"
	"fmt"
	"net"
	"os"
	"strconv"
)

const (
	inputMax     = 8192
	recursiveMax = 93 // the last that fits
	doublingMax  = 1_000_000
)

var doubling = os.Getenv("FIB_ALGORITHM") == "doubling"

func main() {
	if len(os.Args) != 3 || (os.Args[1] != "synchronous" && os.Args[1] != "goroutines") {
		fmt.Fprintln(os.Stderr, "usage: server synchronous|goroutines ADDRESS")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	for {
		client, err := listener.Accept()
		if err != nil {
			continue
		}
		if os.Args[1] == "synchronous" {
			serve(client)
		} else {
			go serve(client)
		}
	}
}

// serve answers all lines of a read with one write: the best that Go's blocking style can do.
func serve(client net.Conn) {
	defer client.Close()
	input := make([]byte, 0, inputMax)
	var output []byte
	for {
		n, err := client.Read(input[len(input):cap(input)])
		if err != nil || n == 0 {
			return
		}
		rest := input[:len(input)+n]
		for end := bytes.IndexByte(rest, '\n'); end >= 0; end = bytes.IndexByte(rest, '\n') {
			output = answer(output, rest[:end])
			rest = rest[end+1:]
		}
		input = append(input[:0], rest...)
		if len(output) > 0 {
			if _, err := client.Write(output); err != nil {
				return
			}
			output = output[:0]
		}
	}
}

// answer appends the reply to one line.
func answer(output, line []byte) []byte {
	n, err := strconv.ParseUint(string(line), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return append(output, "ERR parse not a number\n"...)
	case doubling && n <= doublingMax:
		output = fib.Doubling(n).Append(output, 10)
	case !doubling && n <= recursiveMax:
		output = strconv.AppendUint(output, fib.Recursive(n), 10)
	default:
		return append(output, "ERR range the number is too large\n"...)
	}
	return append(output, '\n')
}
