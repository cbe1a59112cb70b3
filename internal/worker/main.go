package worker

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit statuses of Main.
const (
	exitAnswered = 0
	exitInternal = 70
)

// Main is the whole life of a worker process: read, do, answer.
func Main() int {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	debug.SetGCPercent(100) // a GOGC in the environment is meant for the payload
	return serve(os.Stdin, os.Stdout, os.Stderr)
}

func serve(in io.Reader, out, errs io.Writer) int {
	answer := Response{}
	request, err := decodeRequest(in)
	if err != nil {
		answer = Response{Kind: KindRequest, Error: err.Error()}
	} else {
		answer = guarded(request)
	}
	data, err := encode(answer)
	if err == nil {
		_, err = out.Write(data)
	}
	if err != nil {
		fmt.Fprintf(errs, "interlock worker: %s: cannot answer: %v\n", request.Op, err) //nolint:errcheck // nobody is left to tell
		return exitInternal
	}
	return exitAnswered
}

// guarded answers even when the code is wrong.
func guarded(r Request) (answer Response) {
	defer func() {
		if p := recover(); p != nil {
			answer = Response{Kind: KindInternal, Error: fmt.Sprintf("worker %s: panic: %v: report this", r.Op, p)}
		}
	}()
	return Do(r)
}
