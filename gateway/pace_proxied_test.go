package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/gateway"
)

// memory runs do with a client of a gateway that gives 30 seconds for the pieces
// of a body. Time is made, and everything is in memory.
func memory(t *testing.T, http2 bool, backend http.HandlerFunc, do func(t *testing.T, c *http.Client)) {
	t.Helper()
	c := loadConfig(t, "limits: {body_time: 30s}\n"+`
verify: {introspection: {url: 'https://id.example.com/', client_id: a, client_secret_env: SECRET}}
routes: [{path: /, public: true, backend: 'http://backend.example.com'}]
`)
	synctest.Test(t, func(t *testing.T) {
		g, err := gateway.New(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!http2)
		protocols.SetUnencryptedHTTP2(http2)
		servers := []*http.Server{{Handler: g, Protocols: protocols}, {Handler: backend}}
		var serving sync.WaitGroup
		dial := func(s *http.Server) func(context.Context, string, string) (net.Conn, error) {
			return func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				serving.Go(func() { _ = s.Serve(&single{conn: server}) })
				return client, nil
			}
		}
		gateway.DialBackends(g, dial(servers[1]))
		transport := &http.Transport{DialContext: dial(servers[0]), Protocols: protocols}
		do(t, &http.Client{Transport: transport})
		transport.CloseIdleConnections()
		for _, s := range servers {
			_ = s.Close()
		}
		_ = g.Close()
		serving.Wait()
	})
}

func bothVersions(t *testing.T, do func(t *testing.T, http2 bool)) {
	t.Helper()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", http2), func(t *testing.T) { do(t, http2) })
	}
}

// L1: a body that stops on its way to the backend is given up in time, and the
// backend can tell.
func TestL1BodyStops(t *testing.T) {
	bothVersions(t, func(t *testing.T, http2 bool) {
		begin, heard := time.Time{}, make(chan error, 1)
		backend := func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			if took := time.Since(begin); took != 30*time.Second {
				t.Errorf("given up after %v, want 30s", took)
			}
			heard <- err
		}
		memory(t, http2, backend, func(t *testing.T, c *http.Client) {
			body, rest := io.Pipe()
			begin = time.Now()
			time.AfterFunc(time.Minute, func() { _ = rest.Close() }) // a Client needs an end
			go func() { _, _ = io.WriteString(rest, "x") }()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://app.example.com/", body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = 100
			if resp, err := c.Do(r); err == nil {
				if resp.StatusCode < 400 {
					t.Errorf("got %s", resp.Status)
				}
				_ = resp.Body.Close()
			}
			if err := <-heard; !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the backend: %v, want an unexpected EOF", err)
			}
		})
	})
}

// What isn't the client's doing isn't held against it: an answer that pauses, and
// a backend that takes its time with the body.
func TestL1PausesOfTheBackend(t *testing.T) {
	bothVersions(t, func(t *testing.T, http2 bool) {
		upload := strings.Repeat("x", 4<<20) // more than is read ahead
		backend := func(w http.ResponseWriter, r *http.Request) {
			pause := func() { time.Sleep(2 * time.Minute) }
			pause()
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
			_ = http.NewResponseController(w).Flush()
			pause()
			fmt.Fprint(w, " and more")
			_ = http.NewResponseController(w).Flush()
			pause()
		}
		memory(t, http2, backend, func(t *testing.T, c *http.Client) {
			resp, err := c.Post("http://app.example.com/", "text/plain", strings.NewReader(upload))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if want := "4194304 <nil> and more"; string(got) != want || err != nil {
				t.Errorf("got %q, err %v; want %q", got, err, want)
			}
		})
	})
}
