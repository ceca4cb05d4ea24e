// Package portcullis guards HTTP handlers and WebSockets with tokens that
// somebody else's token system issues, and keeps on guarding them: what passed
// is ended in the moment that its token expires or is revoked.
//
// # Promise
//
//   - The handler hears of nobody before the token system has said yes.
//   - After the token's expiry (plus Guard.Leeway), or once [Guard.Revoke] has
//     returned, nothing passes any more: not a message, nor a byte of an answer.
//     A WebSocket's peer gets a Close frame between two frames, whose code tells
//     "renew and come back" from "log in again" ([CloseStatus]). A frame to it
//     that had begun is finished if that takes less than Policy.Grace; else the
//     connection is cut. Another answer that has begun fails at the client,
//     instead of looking whole; one that hasn't becomes a 401.
//   - When we can't tell, nobody new gets in: 503, never 401.
//   - [Renew] puts a live socket under a fresh token, without a reconnect.
//   - The handler doesn't see the token, and no error or log of ours holds it.
//
// It works with every WebSocket package that takes the connection from
// [http.Hijacker], and with [net/http/httputil.ReverseProxy], unchanged.
//
// # Example
//
//	guard := &portcullis.Guard{Verifier: verifier} // see package verify/introspect
//	guard.Sources = []portcullis.TokenSource{portcullis.Cookie("session")}
//	chat := func(w http.ResponseWriter, r *http.Request) {
//		c, err := websocket.Accept(w, r, nil) // github.com/coder/websocket
//		if err != nil {
//			return
//		}
//		defer c.CloseNow()
//		for {
//			_, message, err := c.Read(r.Context()) // fails when the right to be here ends
//			if err != nil {
//				return
//			}
//			id, _ := portcullis.FromContext(r.Context()) // who, for each message anew
//			log.Printf("%s: %s", id.Subject, message)
//		}
//	}
//	log.Fatal(http.ListenAndServe(":8080", guard.Handler(http.HandlerFunc(chat))))
//
// # Limits
//
//   - Revocations are known to this process, while it runs, unless Guard.Store
//     shares and keeps them.
//   - A token that doesn't say when it was issued counts as issued when this
//     process first saw it. That is safe only with a Verifier that asks the token
//     system: where a token is checked offline it must say so.
//   - To stop a handler that is blocked in reading or writing takes the
//     connection's deadlines. A middleware in front of the Guard that wraps the
//     ResponseWriter must have an Unwrap method ([http.ResponseController]), or
//     only what the handler does next is stopped.
//   - What the handler has begun elsewhere is its own to undo: its context tells it.
//   - WebSockets over HTTP/2 (RFC 8441) are not known as such.
//   - The wall clock decides. A node whose clock is wrong ends sessions at the
//     wrong time.
package portcullis
