package portcullis

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unique"
)

// Request returns the request that was admitted: without the token, and with a
// context that carries the Identity and is cancelled, with one of this
// package's errors as its [context.Cause], when authorization ends. After
// [Session.Forget] it is what that leaves.
func (s *Session) Request() *http.Request {
	if r := s.request.Load(); r != nil {
		return r
	}
	r := s.left.request()
	return r.WithContext(context.WithValue(context.Background(), sessionKey{}, s))
}

// Forget lets go of the request and of its context, which hold kilobytes, and
// all that net/http needed for it: for those who move bytes themselves, and hold
// thousands of sockets that say little. It is called once, and before that
// nobody else may use the context any more, which it cancels. What stays of the
// request is the method, the Host, the target, the remote address, and the
// header if that is wanted: that much [Session.Request] and Policy.Allow see
// from now on, with a context that isn't cancelled when authorization ends
// ([Session.OnEnd] says so).
func (s *Session) Forget(keepHeader bool) {
	r := s.request.Load()
	if r == nil {
		return
	}
	s.left = &remnant{
		method: unique.Make(r.Method),
		host:   unique.Make(r.Host),
		target: strings.Clone(r.URL.RequestURI()),
		remote: strings.Clone(r.RemoteAddr),
	}
	if keepHeader {
		s.left.header = r.Header
	}
	s.request.Store(nil)
	s.stop(nil)
	s.mu.Lock()
	s.leave()
	s.cancel = func(error) {}
	s.mu.Unlock()
}

// within returns the context of the request.
func (s *Session) within(parent context.Context) context.Context {
	if s.response != nil {
		s.response.parent = parent
		return (*deferred)(s.response)
	}
	ctx, cancel := context.WithCancelCause(parent)
	s.cancel = cancel
	return context.WithValue(ctx, sessionKey{}, s)
}

// stop cancels the context of the request, unless that is forgotten.
func (s *Session) stop(cause error) {
	if s.response != nil {
		(*deferred)(s.response).end(cause)
		return
	}
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	cancel(cause)
}

// A remnant is what is left of a request. Its strings are copies: net/http's are
// parts of larger ones.
type remnant struct {
	method, host   unique.Handle[string] // many have the same
	target, remote string
	header         http.Header
}

func (l *remnant) request() *http.Request {
	u, err := url.ParseRequestURI(l.target)
	if err != nil { // it was made of one
		u = &url.URL{Path: l.target}
	}
	return &http.Request{
		Method: l.method.Value(), Host: l.host.Value(), URL: u, RequestURI: l.target, RemoteAddr: l.remote,
		Header: l.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}
