// Echo answers every request with its color and its name, over HTTP/1.1 and HTTP/2 without TLS. For tests that need many pods.
//
// POST /drain: from now on each answer also ends its connection; DELETE /drain takes it back. On TERM it drains too, still takes
// connections (whoever routes to it may not know yet), and ends when it has none left, after GRACE_S (default 5) in any case.
package main

import (
	"cmp"
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// quiet is how long no connection must have been open before an ending echo believes that nobody comes any more.
const quiet = 500 * time.Millisecond

type echo struct {
	color, name string
	draining    atomic.Bool
	open        atomic.Int64
}

func main() {
	e := &echo{color: os.Getenv("COLOR"), name: os.Getenv("NAME")}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), ":8080"))
	if err != nil {
		log.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: e, ConnState: e.count, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		e.untilTold()
		deadline, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(deadline)
		close(ended)
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}

func (e *echo) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/drain" {
		e.draining.Store(request.Method == http.MethodPost)
	}
	header := answer.Header()
	header.Set("x-holdfast-color", e.color)
	header.Set("x-service-instance", e.name)
	if e.draining.Load() {
		header.Set("connection", "close")
	}
	_, _ = answer.Write([]byte(e.color + " " + e.name + "\n"))
}

func (e *echo) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		e.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		e.open.Add(-1)
	}
}

// untilTold returns when TERM has come and the connections have gone, or the grace is over.
func (e *echo) untilTold() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	<-told
	e.draining.Store(true)
	end := time.Now().Add(grace())
	for since := time.Now(); time.Since(since) < quiet && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if e.open.Load() > 0 {
			since = time.Now()
		}
	}
}

func grace() time.Duration {
	seconds, err := strconv.ParseFloat(os.Getenv("GRACE_S"), 64)
	if err != nil {
		seconds = 5
	}
	return time.Duration(seconds * float64(time.Second))
}
