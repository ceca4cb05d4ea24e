package portcullis_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// BenchmarkFloor is what it costs to give a request a context that carries a
// value and can be cancelled with a cause, and a header of its own, and nothing
// else: no middleware that does this with the standard library is faster.
func BenchmarkFloor(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/me", nil)
	b.ReportAllocs()
	for b.Loop() {
		floor.session = new(portcullis.Session)
		ctx, cancel := context.WithCancelCause(r.Context())
		floor.request, floor.cancel = r.WithContext(context.WithValue(ctx, &floor, floor.session)), cancel
		floor.request.Header = make(http.Header)
		floor.cancel(context.Canceled)
	}
}

// floor keeps what BenchmarkFloor makes on the heap, where it has to be.
var floor struct {
	session *portcullis.Session
	request *http.Request
	cancel  context.CancelCauseFunc
}

// BenchmarkHandler is what the Guard adds to a request whose token is found
// good without delay, under a context that can be cancelled as a server's is.
// Compare "bare" with the others.
func BenchmarkHandler(b *testing.B) {
	id := &portcullis.Identity{Subject: "u-alice", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	guard := &portcullis.Guard{
		Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { return id, nil }),
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	asking := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Err() == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	cookie := guard.HandlerWith(&portcullis.Policy{Sources: []portcullis.TokenSource{portcullis.Cookie("session")}}, next)
	browser := map[string]string{
		"User-Agent": "Mozilla/5.0", "Accept": "*/*", "Accept-Language": "en", "Accept-Encoding": "gzip",
		"Referer": "https://app.example.com/", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors",
		"Sec-Fetch-Dest": "empty", "Cache-Control": "no-cache", "Pragma": "no-cache",
	}
	for _, bm := range []struct {
		name    string
		handler http.Handler
		headers map[string]string
	}{
		{"bare", next, map[string]string{"Authorization": "Bearer token"}},
		{"bearer", guard.Handler(next), map[string]string{"Authorization": "Bearer token"}},
		{"bearer, the handler asks its context", guard.Handler(asking), map[string]string{"Authorization": "Bearer token"}},
		{"cookie", cookie, map[string]string{"Cookie": "session=token"}},
		{"two cookies", cookie, map[string]string{"Cookie": "theme=dark; session=token"}},
		{"bearer, a browser's headers", guard.Handler(next), browser},
	} {
		b.Run(bm.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/me", nil)
			for k, v := range bm.headers {
				r.Header.Set(k, v)
			}
			if bm.headers["Cookie"] == "" {
				r.Header.Set("Authorization", "Bearer token")
			}
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				bm.handler.ServeHTTP(w, r)
			}
		})
	}
}
