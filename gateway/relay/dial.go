package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/internal/reserve"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

var (
	// ErrBadAnswer says that the backend's answer to the handshake is none
	// that may be passed on: 502.
	ErrBadAnswer = errors.New("backend's handshake answer is wrong")

	// ErrSilent says that the backend didn't answer in time: 504.
	ErrSilent = errors.New("backend doesn't answer")
)

// A Dialer makes handshakes with backends. The zero value works.
type Dialer struct {
	// Timeout bounds a whole handshake, from the connection to the answer.
	// 0: 10 seconds.
	Timeout time.Duration

	// TLS is for https backends. nil: the system's roots.
	TLS *tls.Config
}

// Handshake asks the backend (scheme and host of to) for the socket that r asks
// for; r's target and header go out as they are. An answer other than 101 is
// returned for the client, with a nil Side; its body must be closed. A 101 is
// verified (RFC 6455, section 4.1): what the client didn't ask for is
// [ErrBadAnswer]. The connection is never one that was used before, nor used
// again.
func (d *Dialer) Handshake(ctx context.Context, to *url.URL, r *http.Request) (*http.Response, *Side, error) {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nc, err := d.dial(ctx, to)
	if err != nil {
		return nil, nil, silence(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	x := newExchange(nc)
	resp, err := x.do(r)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		_ = nc.SetDeadline(time.Now().Add(timeout))
		resp.Body = refusal{resp.Body, nc}
		return resp, nil, nil
	}
	defer x.release()
	if err == nil {
		err = verify(r.Header, resp)
	}
	if err != nil {
		_ = nc.Close()
		return nil, nil, silence(ctx, err)
	}
	early, _ := x.in.Peek(x.in.Buffered()) // can't fail: they are there
	return resp, &Side{Conn: nc, Early: slices.Clone(early)}, nil
}

// silence names what was a time-out.
func silence(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrSilent, err)
	}
	return err
}

func (d *Dialer) dial(ctx context.Context, to *url.URL) (net.Conn, error) {
	port := to.Port()
	if port == "" {
		port = to.Scheme
	}
	addr := net.JoinHostPort(to.Hostname(), port)
	nc, err := (&net.Dialer{Control: reserve.Refuse}).DialContext(ctx, "tcp", addr)
	if err != nil || to.Scheme != "https" {
		return nc, err
	}
	config := &tls.Config{}
	if d.TLS != nil {
		config = d.TLS.Clone()
	}
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName = to.Hostname()
	}
	secured := tls.Client(wsconn.ForTLS(nc), config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return secured, nil
}

// refusal is the body of an answer that isn't a 101.
type refusal struct {
	io.ReadCloser
	nc net.Conn
}

// Close may be called while Read is blocked, which it ends.
func (r refusal) Close() error {
	err := r.nc.Close()
	_ = r.ReadCloser.Close()
	return err
}

// verify reads RFC 6455, section 4.1 from top to bottom.
func verify(asked http.Header, answer *http.Response) error {
	if answer.ProtoMajor != 1 || answer.ProtoMinor == 0 {
		return fmt.Errorf("%w: a 101 of another version of HTTP", ErrBadAnswer)
	}
	got := answer.Header
	if v := got["Upgrade"]; len(v) != 1 || !strings.EqualFold(v[0], "websocket") {
		return fmt.Errorf("%w: no Upgrade to websocket", ErrBadAnswer)
	}
	if !upgrade.HasToken(got["Connection"], "upgrade") {
		return fmt.Errorf("%w: no Connection: Upgrade", ErrBadAnswer)
	}
	if v := got["Sec-Websocket-Accept"]; len(v) != 1 || v[0] != upgrade.Accept(asked.Get("Sec-WebSocket-Key")) {
		return fmt.Errorf("%w: wrong Sec-WebSocket-Accept", ErrBadAnswer)
	}
	offered := list(asked["Sec-Websocket-Extensions"])
	for _, e := range list(got["Sec-Websocket-Extensions"]) {
		if !slices.Contains(offered, e) {
			return fmt.Errorf("%w: an extension that was not offered", ErrBadAnswer)
		}
	}
	protocol := got["Sec-Websocket-Protocol"]
	if len(protocol) > 1 || len(protocol) == 1 && !slices.Contains(list(asked["Sec-Websocket-Protocol"]), protocol[0]) {
		return fmt.Errorf("%w: a subprotocol that was not offered", ErrBadAnswer)
	}
	return nil
}

// list returns the members of a header that is a list, without parameters.
func list(lines []string) (members []string) {
	for _, line := range lines {
		for m := range strings.SplitSeq(line, ",") {
			m, _, _ = strings.Cut(m, ";")
			if m = strings.Trim(m, " \t"); m != "" {
				members = append(members, m)
			}
		}
	}
	return members
}
