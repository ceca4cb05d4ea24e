package portcullis

import (
	"errors"
	"net/http"
	"time"

	"github.com/portcullis-auth/portcullis/internal/upgrade"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// DenyByClose returns a Policy.Deny for those whose script must see why a
// WebSocket was refused: browsers don't show the status of a handshake. The
// handshake is accepted, and the socket closed at once with what closeStatus
// says of the error. Nobody behind the Guard hears of it, and nothing of what
// the client sends is read for more than its end.
//
// What isn't a WebSocket's handshake, and pages of other origins, get the
// status, by otherwise. nil for closeStatus: CloseStatus; for otherwise:
// DenyStatus.
func DenyByClose(closeStatus func(error) (int, string), otherwise func(http.ResponseWriter, *http.Request, error)) func(http.ResponseWriter, *http.Request, error) {
	if closeStatus == nil {
		closeStatus = CloseStatus
	}
	if otherwise == nil {
		otherwise = DenyStatus
	}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		key := r.Header.Get("Sec-WebSocket-Key")
		handshake := upgrade.Asked(r) && upgrade.ToWebSocket(r) && key != "" && r.Header.Get("Sec-WebSocket-Version") == "13"
		var foreign originError
		if !handshake || errors.As(err, &foreign) {
			otherwise(w, r, err)
			return
		}
		code, reason := closeStatus(err)
		if acceptAndClose(w, r, upgrade.Accept(key), wsframe.AppendClose(nil, code, reason, nil)) != nil {
			otherwise(w, r, err)
		}
	}
}

// acceptAndClose answers a handshake and closes the socket; what the handshake
// offers that isn't a token is selected, since browsers insist on an answer. The
// error means that w is still there to be used.
func acceptAndClose(w http.ResponseWriter, r *http.Request, accept string, closeFrame []byte) error {
	nc, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n"
	protocol := ""
	if s, ok := r.Context().Value(sessionKey{}).(*Session); ok {
		protocol = s.Subprotocol()
	}
	for _, offered := range protocols(r.Header) {
		if _, carriesToken := cutAnyPrefix(offered, protocolPrefixes); protocol == "" && !carriesToken {
			protocol = offered
		}
	}
	if protocol != "" {
		head += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // can't fail: they are there
	conn := wsconn.New(nc, wsconn.Options{Early: early})
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	if _, err := nc.Write([]byte(head + "\r\n")); err != nil {
		return conn.Close()
	}
	conn.End(wsconn.Ending{Cause: ErrForbidden, Frame: closeFrame, Grace: time.Second})
	return nil
}
