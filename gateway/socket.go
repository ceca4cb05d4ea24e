package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/limit"
	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// answerTimeout bounds how long the client may take to take the 101.
const answerTimeout = 10 * time.Second

// serveSocket authorizes a handshake that is well-formed, makes it with the
// backend, and moves frames until the socket is over.
func (g *gate) serveSocket(w http.ResponseWriter, r *http.Request, rt *route) {
	if err := rt.limits.Handshake(address(r)); err != nil {
		g.overLimit(w, r, portcullis.DenyStatus, err) // whose page asks hasn't been looked at
		return
	}
	var withTicket string
	if g.tickets != nil {
		r = r.WithContext(context.WithValue(r.Context(), redeemedKey{}, &withTicket))
	}
	s, err := rt.guard.Admit(r, &rt.policy)
	if err != nil {
		rt.policy.Deny(w, s.Request(), err)
		return
	}
	if err := g.outdated(rt); err != nil {
		s.CloseBecause(err)
		rt.policy.Deny(w, s.Request(), err)
		return
	}
	slots, err := g.slots(s, rt)
	if err != nil {
		s.CloseBecause(err)
		denyLimit(w, s.Request(), rt.policy.Deny, err)
		return
	}
	over := g.over(s, withTicket, slots)
	relayed := false
	defer func() {
		if !relayed {
			over(relay.Result{})
		}
	}()
	if !rt.Public {
		if err := g.signals.check(s.Request().Context(), s.Identity()); err != nil {
			rt.policy.Deny(w, s.Request(), err)
			return
		}
	}

	out := s.Request().WithContext(s.Request().Context()) // a shallow copy
	out.URL = new(*out.URL)
	out.Header = maps.Clone(out.Header) // the values are never changed
	removeHopByHop(out.Header)
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", "websocket")
	if rt.frames.Judge != nil { // whoever is to read messages can't have them compressed
		out.Header.Del("Sec-WebSocket-Extensions")
	}
	g.prepare(out, s.Request(), rt.Public)
	answer, backend, err := rt.dialer.Handshake(out.Context(), rt.Backend, out)
	switch cause := s.Err(); {
	case cause != nil: // it ended while the backend was asked
		if err == nil {
			closeAnswer(answer, backend)
		}
		rt.policy.Deny(w, s.Request(), cause)
		return
	case r.Context().Err() != nil: // the client has gone
		if err == nil {
			closeAnswer(answer, backend)
		}
		panic(http.ErrAbortHandler) // returning would be a 200
	case err != nil:
		g.handshakeFailed(w, s.Request(), err)
		return
	case backend == nil:
		passRefusal(w, s, answer)
		return
	}

	client, err := answerClient(w, s, answer)
	if err != nil {
		closeAnswer(answer, backend)
		return
	}
	relayed = true
	s.Forget(rt.readsHeaders()) // an idle socket is to cost nothing
	options := relay.Options{Rules: &rt.frames, Extensions: strings.Join(answer.Header["Sec-Websocket-Extensions"], ", ")}
	if slots != nil {
		options.Meter = slots
	}
	g.relay.Start(s, client, *backend, options, over)
}

// slots takes the socket's slots; nobody, on a public route, is no user.
func (g *gate) slots(s *portcullis.Session, rt *route) (*limit.Socket, error) {
	id := s.Identity()
	if rt.Public {
		id = nil
	}
	return rt.limits.Socket(id, address(s.Request()))
}

// over returns what is to be done when a socket is over. From now on the socket is
// found by the handle that came with its ticket.
func (g *gate) over(s *portcullis.Session, ticket string, slots *limit.Socket) func(relay.Result) {
	if ticket != "" {
		g.tickets.opened(ticket, s)
	}
	return func(result relay.Result) {
		slots.Close()
		if ticket != "" {
			g.tickets.closed(ticket)
		}
		if result.BackendAborted {
			g.log.Warn("backend's connection aborted without a Close frame", "session", s.Handle(), "why", result.Cause)
		}
		s.CloseBecause(result.Cause,
			slog.Int64("from_client", result.FromClient), slog.Int64("from_backend", result.FromBackend),
			slog.Int64("messages_from_client", result.MessagesFromClient), slog.Int64("messages_from_backend", result.MessagesFromBackend))
	}
}

// closeAnswer drops an answer of the backend that nobody wants any more.
func closeAnswer(answer *http.Response, backend *relay.Side) {
	if backend != nil {
		_ = backend.Conn.Close()
		return
	}
	_ = answer.Body.Close()
}

// handshakeFailed answers when the backend gives no answer to pass on.
func (g *gate) handshakeFailed(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusBadGateway, "the backend cannot be reached"
	switch {
	case errors.Is(err, relay.ErrSilent):
		status, text = http.StatusGatewayTimeout, "the backend does not answer"
	case errors.Is(err, relay.ErrBadAnswer):
		text = "the backend's handshake answer is wrong"
	}
	g.answerFailure(w, r, err, status, text)
}

// passRefusal passes on an answer of the backend that isn't a 101, until the
// session ends. A client that is too slow doesn't get all of it, and can tell.
func passRefusal(w http.ResponseWriter, s *portcullis.Session, answer *http.Response) {
	defer answer.Body.Close()
	client := http.NewResponseController(w)
	_ = client.SetWriteDeadline(time.Now().Add(answerTimeout))
	s.OnEnd(func(error) {
		_ = client.SetWriteDeadline(time.Unix(1, 0))
		_ = answer.Body.Close()
	})
	removeHopByHop(answer.Header)
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil || s.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// answerClient takes the client's connection from net/http and writes the 101
// on it. Frames that came with the handshake come out of the Side again.
func answerClient(w http.ResponseWriter, s *portcullis.Session, answer *http.Response) (relay.Side, error) {
	h := answer.Header
	removeHopByHop(h)
	for _, name := range []string{"Content-Length", "Content-Type"} {
		delete(h, name)
	}
	if h.Get("Sec-WebSocket-Protocol") == "" && s.Subprotocol() != "" {
		h.Set("Sec-WebSocket-Protocol", s.Subprotocol())
	}
	head := bytes.NewBuffer(make([]byte, 0, 512))
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	_ = h.Write(head) // a Buffer takes everything
	head.WriteString("\r\n")

	nc, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot become a socket", http.StatusInternalServerError)
		return relay.Side{}, err
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // can't fail: they are there
	client := relay.Side{Conn: nc, Early: slices.Clone(early)}
	if err := writeWithin(nc, head.Bytes(), answerTimeout); err != nil {
		_ = nc.Close()
		return relay.Side{}, err
	}
	return client, nil
}

func writeWithin(nc net.Conn, p []byte, d time.Duration) error {
	_ = nc.SetWriteDeadline(time.Now().Add(d))
	_, err := nc.Write(p)
	_ = nc.SetWriteDeadline(time.Time{})
	return err
}
