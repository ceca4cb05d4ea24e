// Package askhttp asks a token system one question over HTTP and trusts the
// answer with nothing: not with time, not with memory, not with where to go
// next, and not with what ends up in our logs.
//
//   - An exchange ends within its timeout, however slowly the answer drips.
//   - At most [MaxAnswer] bytes of an answer are read. Compression is neither
//     asked for nor accepted, so a small answer can't become a large one.
//   - Redirects are not followed: they would take a token, or our credentials,
//     to wherever the answer says.
//   - No error quotes the answer, the request or the query of its URL. A server
//     that sends our own header back would otherwise have it logged.
//
// What an answer means is the caller's business.
package askhttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// DefaultTimeout bounds an exchange for which no timeout is given.
	DefaultTimeout = 5 * time.Second

	// MaxAnswer is how large the body of an answer may be, in bytes.
	MaxAnswer = 256 << 10
)

// transport serves every Asker that isn't given a client. It is shared since
// its pool is kept by host anyway.
var transport = &http.Transport{
	Proxy:                  http.ProxyFromEnvironment, // never for loopback
	DialContext:            (&net.Dialer{Timeout: DefaultTimeout}).DialContext,
	ForceAttemptHTTP2:      true,
	MaxIdleConns:           256,
	MaxIdleConnsPerHost:    64, // the standard 2 would dial anew in every burst
	IdleConnTimeout:        90 * time.Second,
	TLSHandshakeTimeout:    DefaultTimeout,
	MaxResponseHeaderBytes: 64 << 10,
	DisableCompression:     true,
}

// An Asker sends requests. It is made by [New] and safe for concurrent use.
type Asker struct {
	client  *http.Client
	timeout time.Duration
}

// New returns an Asker that uses client's Transport and Timeout; nil: one of
// our own. The client's Jar and CheckRedirect are not used. timeout bounds each
// exchange, from dialling to the last byte of the body; 0: [DefaultTimeout].
func New(client *http.Client, timeout time.Duration) *Asker {
	own := http.Client{Transport: transport}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own.Jar = nil // cookies of one user's answer must not go out with the next one's token
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Asker{client: &own, timeout: timeout}
}

// An Answer is what came back.
type Answer struct {
	Status int // the HTTP status code

	header http.Header
	body   []byte
	err    error // why body is not to be used
}

// Ask sends req and reads the answer. An error means that there was none: its
// text is fit for logs, and it wraps the error of req's context if that one is
// done. Ask changes req's header. The body of req must be one that
// [http.NewRequest] can rewind.
func (a *Asker) Ask(req *http.Request) (*Answer, error) {
	ctx, cancel := context.WithTimeout(req.Context(), a.timeout)
	defer cancel()
	// Set by hand, it also keeps a transport from decompressing by itself.
	req.Header.Set("Accept-Encoding", "identity")
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	// Asking twice does no harm, so a POST may be repeated where the server
	// closed an idle connection under it. An empty list is not sent.
	req.Header["Idempotency-Key"] = []string{}

	resp, err := a.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, a.fit(req.Context(), err)
	}
	defer resp.Body.Close()
	answer := &Answer{Status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode < 200 { // 101: the "body" is a connection and never ends
		return answer, nil
	}
	// Also read when it isn't wanted: an unread body costs the connection.
	answer.body, err = io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		answer.err = a.fit(req.Context(), err)
	case len(answer.body) > MaxAnswer:
		answer.err = fmt.Errorf("the answer is larger than %d bytes", MaxAnswer)
	}
	return answer, nil
}

// fit returns an error that tells about err without its text, unless that text
// cannot hold anything of the request or the answer. net/http quotes what it
// can't parse.
func (a *Asker) fit(ctx context.Context, err error) error {
	var (
		timeout interface{ Timeout() bool }
		op      *net.OpError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("gave up waiting for the answer: %w", ctx.Err())
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no whole answer within %v", a.timeout)
	case errors.As(err, &op):
		return op
	case errors.As(err, &cert):
		return cert
	case errors.As(err, &record):
		return record
	case errors.As(err, &alert):
		return alert
	case errors.Is(err, http.ErrSchemeMismatch):
		return http.ErrSchemeMismatch
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection was closed before the answer's end")
	}
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return fmt.Errorf("no usable HTTP answer (%T)", err)
}

// Header returns the values of a header field of the answer, joined with commas
// as if they had come in one line (RFC 9110, section 5.3); "" if there is none.
// They are the server's words, and not fit for logs.
func (a *Answer) Header(name string) string {
	return strings.Join(a.header.Values(name), ", ")
}

// Body returns the body of an answer that came whole, and what it says that it
// is: a media type in lower case without parameters, "" where that cannot be
// read. The error is fit for logs; the media type is not.
func (a *Answer) Body() (media string, body []byte, err error) {
	if a.err != nil {
		return "", nil, a.err
	}
	if coding := a.Header("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return "", nil, errors.New("the answer is compressed, which was not asked for")
	}
	if len(a.body) == 0 {
		return "", nil, errors.New("the answer is empty")
	}
	media, _, err = mime.ParseMediaType(a.Header("Content-Type"))
	if err != nil {
		media = ""
	}
	return media, a.body, nil
}

// JSON returns the body of an answer that says that it is JSON and came whole.
// It has not been parsed. The error is fit for logs.
func (a *Answer) JSON() ([]byte, error) {
	media, body, err := a.Body()
	switch {
	case err != nil:
		return nil, err
	case media == "text/html":
		return nil, errors.New("the answer is an HTML page, not JSON")
	case media != "application/json" && !strings.HasSuffix(media, "+json"):
		return nil, errors.New("the answer's Content-Type is not application/json")
	}
	return body, nil
}

// Unexpected is the error for an answer whose status means nothing to the
// caller.
func (a *Answer) Unexpected() error {
	if a.Status >= 300 && a.Status < 400 {
		return fmt.Errorf("the answer is a redirect (status %d), and redirects are not followed", a.Status)
	}
	return fmt.Errorf("the answer has status %d", a.Status)
}
