package portcullis_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// Promise 4: who lives on the word of a token system that is out of reach can
// be told to come back later; the others, and the same ones later, are not concerned.
func TestEndExactlyThoseThatMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		g.Verifier = user(func(token string) *portcullis.Identity {
			id := alice()
			id.VerifiedBy = token
			return id
		})
		_, down := admit(t, g, "down")
		_, socket := admit(t, g, "down", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "x")
		up, upEnd := admit(t, g, "up")
		defer up.Close()
		cause := fmt.Errorf("%w: for too long", portcullis.ErrUnavailable)
		if n := g.End(cause, func(id *portcullis.Identity) bool { return id.VerifiedBy == "down" }); n != 2 {
			t.Errorf("End: %d, want 2", n)
		}
		down.want(t, "request", portcullis.ErrUnavailable, time.Now())
		socket.want(t, "socket", portcullis.ErrUnavailable, time.Now())
		upEnd.want(t, "another verifier's", nil, time.Time{})

		again, end := admit(t, g, "down")
		again.Close()
		end.want(t, "who comes back", nil, time.Time{})
	})
}
