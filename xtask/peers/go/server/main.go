// The Fibonacci service in Go: one client at a time, or a goroutine for each, and nothing between it
// and the socket.
//
// Usage: server sequential|goroutines ADDRESS. It prints where it listens, as fib-server does.
// FIB_ALGORITHM=doubling computes big integers by fast doubling.
package main

import (
	"bytes"
	"fib"
	"fmt"
	"net"
	"os"
	"strconv"
)

// No request is longer, without its newline.
const lineMax = 64

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: server sequential|goroutines ADDRESS")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	concurrent := os.Args[1] == "goroutines"
	for {
		client, err := listener.Accept()
		if err != nil {
			continue
		}
		if concurrent {
			go serve(client)
		} else {
			serve(client)
		}
	}
}

// serve answers all lines of a read with one write: the best that Go's blocking style can do.
// TCP_NODELAY is Go's own default.
func serve(client net.Conn) {
	defer client.Close()
	input := make([]byte, 0, 8192)
	output := make([]byte, 0, 8192)
	for {
		n, err := client.Read(input[len(input):cap(input)])
		if err != nil || n == 0 {
			return
		}
		input = input[:len(input)+n]
		rest := input
		for {
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				break
			}
			output = answer(output, rest[:end])
			rest = rest[end+1:]
		}
		input = input[:copy(input, rest)]
		if len(output) > 0 {
			if _, err := client.Write(output); err != nil {
				return
			}
			output = output[:0]
		}
		if len(input) > lineMax {
			return
		}
	}
}

var doubling = os.Getenv("FIB_ALGORITHM") == "doubling"

func answer(output, line []byte) []byte {
	n, err := strconv.Atoi(string(line))
	switch {
	case err != nil:
		return append(output, "ERR parse not a number\n"...)
	case n < 0:
		return append(output, "ERR range not a positive number\n"...)
	case doubling:
		output = fib.Doubling(n).Append(output, 10)
	case n == 0:
		output = append(output, '0')
	default:
		output = strconv.AppendInt(output, int64(fib.Recursive(n)), 10)
	}
	return append(output, '\n')
}
