package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/portcullis-auth/portcullis/internal/reserve"
)

// newProxy returns what moves HTTP to the route's backend: both ways, while the
// other one goes on, and without waiting for more. The backend of a public one
// hears of no user.
func (g *gate) newProxy(rt *route, public bool) http.Handler {
	transport := newTransport(rt.BackendCA, rt.AnswerTime)
	g.transports = append(g.transports, transport)
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: 10 * time.Millisecond, // where Content-Length says that more comes; else at once
		BufferPool:    &copying,
		ErrorLog:      slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		ErrorHandler:  g.backendFailed,
		ModifyResponse: func(answer *http.Response) error {
			if answer.StatusCode < 100 { // net/http panics
				return errors.New("the backend's answer has no status")
			}
			if state := stateOf(answer.Request); state != bodyWhole { // W4: see watched
				answer.Header.Set("Connection", "close")
			}
			return nil
		},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = rt.Backend.Scheme, rt.Backend.Host
			p.Out.Host = p.In.Host
			if p.Out.Body != nil && p.In.ProtoMajor == 1 { // streams of HTTP/2 end by themselves
				p.Out.Body = &watched{ReadCloser: p.Out.Body}
			}
			if p.Out.Trailer = g.names.announced(p.In.Trailer); len(p.Out.Trailer) > 0 && p.Out.Body != nil {
				p.Out.Body = &trailed{p.Out.Body, p.In.Trailer, p.Out.Trailer}
			}
			g.prepare(p.Out, p.In, public)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // else net/http takes the whole body before it lets the answer out
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		if g.config.AccessLog > 0 {
			admits(r)
		}
		if most := int64(rt.Limits.BodySize); most > 0 && r.ContentLength != 0 {
			if r.ContentLength > most {
				g.refuse(w, r, http.StatusRequestEntityTooLarge, "the body is too large")
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, most)
		}
		paced := pace(g.config.Limits.BodyTime).writer(w, r)
		proxy.ServeHTTP(paced, r)
		paced.allow() // for what net/http still has to write
	})
}

// prepare gives out, which is in on its way to the backend, the target byte by
// byte, as the rule saw it, and our headers.
func (g *gate) prepare(out, in *http.Request, public bool) {
	out.URL.Opaque, _, _ = strings.Cut(in.RequestURI, "?") // Path would be encoded anew
	out.URL.RawQuery = in.URL.RawQuery
	if g.names.prepare(out.Header, in, public) {
		g.log.LogAttrs(in.Context(), slog.LevelWarn, "user information left out: it is larger than userinfo_max",
			slog.String("header", g.names.userinfo), slog.Int("max", g.names.userinfoMax))
	}
}

func newTransport(roots *x509.CertPool, answer time.Duration) *http.Transport {
	return &http.Transport{
		ResponseHeaderTimeout:  answer,
		MaxResponseHeaderBytes: 256 << 10,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, Control: reserve.Refuse}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        clientTLS(roots),
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true, // what the client accepts is the client's matter
	}
}

// clientTLS is for connections to backends; nil roots are the system's.
func clientTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// backendFailed answers when the backend doesn't.
func (g *gate) backendFailed(w http.ResponseWriter, r *http.Request, err error) {
	switch cause := context.Cause(r.Context()); {
	case errors.Is(cause, context.Canceled): // the client has gone; returning would be a 200
		panic(http.ErrAbortHandler)
	case cause != nil: // the Guard answers
		return
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		g.refuse(w, r, http.StatusRequestEntityTooLarge, "the body is too large")
		return
	}
	if state := stateOf(r); state != bodyWhole {
		last(w, r) // W4
		if state == bodyBroken {
			g.refuse(w, r, http.StatusBadRequest, "the body is malformed, or breaks off")
			return
		}
	}
	var silent net.Error
	status, text := http.StatusBadGateway, "the backend cannot be reached"
	if errors.As(err, &silent) && silent.Timeout() {
		status, text = http.StatusGatewayTimeout, "the backend does not answer"
	}
	g.answerFailure(w, r, err, status, text)
}

// answerFailure answers for a backend that gives no answer to pass on.
func (g *gate) answerFailure(w http.ResponseWriter, r *http.Request, err error, status int, text string) {
	h := w.Header()
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) { // L3: that isn't the backend's fault
		status, text = http.StatusServiceUnavailable, "out of resources"
		h.Set("Retry-After", "5")
	}
	g.logBackend(r, status, err)
	h.Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}

func (g *gate) logBackend(r *http.Request, status int, err error) {
	g.log.LogAttrs(r.Context(), slog.LevelWarn, "backend failed", slog.Int("status", status),
		slog.String("why", err.Error()), slog.String("method", r.Method),
		slog.String("host", r.Host), slog.String("path", r.URL.Path))
}

// buffers are kept for ReverseProxy, which makes a new one for each answer
// otherwise: three quarters of all memory that a request takes.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

var copying buffers

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
