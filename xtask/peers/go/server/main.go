// The Fibonacci service in Go: a goroutine for each client, and nothing between it and the socket.
//
// Usage: server ADDRESS. It prints where it listens, as fib-server does.
package main

import (
	"bytes"
	"fib"
	"fmt"
	"net"
	"os"
	"strconv"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
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
		go serve(client)
	}
}

// serve answers all lines of a read with one write: the best that Go's blocking style can do.
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
			n, err := strconv.Atoi(string(rest[:end]))
			if err != nil {
				output = append(output, "ERR parse not a number\n"...)
			} else {
				output = strconv.AppendInt(output, int64(fib.Recursive(n)), 10)
				output = append(output, '\n')
			}
			rest = rest[end+1:]
		}
		input = input[:copy(input, rest)]
		if len(output) > 0 {
			if _, err := client.Write(output); err != nil {
				return
			}
			output = output[:0]
		}
	}
}
