package portcullis_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A fresher token of the same login extends its sockets, whichever call brings
// it along; nothing else does.
func TestFresherTokenOfTheLoginExtendsSockets(t *testing.T) {
	for _, tt := range []struct {
		name    string
		token   string // iss sub sid client scope lifetime
		extends bool
	}{
		{"same login", "i u s c chat 1h", true},
		{"same login, sooner", "i u s c chat 1m", false},
		{"same login, no expiry", "i u s c chat 0", false},
		{"another issuer", "j u s c chat 1h", false},
		{"another subject", "i v s c chat 1h", false},
		{"another login", "i u t c chat 1h", false},
		{"another client", "i u s d chat 1h", false},
		{"fewer rights", "i u s c mail 1h", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &portcullis.Guard{Verifier: user(parseLogin)}
				g.Allow = func(r *http.Request, id *portcullis.Identity) error {
					if r.Header.Get("Upgrade") != "" && !id.HasScope("chat") {
						return errors.New("no chat")
					}
					return nil
				}
				began := time.Now()
				socket, e := admit(t, g, "i u s c chat 10m", asSocket...)
				s, _ := admit(t, g, tt.token)
				s.Close()
				renewed := 0
				for info := range g.Sessions() {
					renewed += info.Renewed
				}
				if (renewed == 1) != tt.extends || renewed > 1 {
					t.Errorf("renewed %d times", renewed)
				}
				time.Sleep(2 * time.Hour)
				want := began.Add(10 * time.Minute)
				if tt.extends {
					want = began.Add(time.Hour)
				}
				e.want(t, "the socket", portcullis.ErrExpired, want)
				socket.Close()
				if !g.Empty() {
					t.Error("something is left")
				}
			})
		})
	}
}

func parseLogin(token string) *portcullis.Identity {
	f := strings.Fields(token)
	id := &portcullis.Identity{Issuer: f[0], Subject: f[1], SessionID: f[2], ClientID: f[3], Scopes: f[4:5], IssuedAt: time.Now()}
	if d, err := time.ParseDuration(f[5]); err == nil && d > 0 {
		id.ExpiresAt = time.Now().Add(d)
	}
	return id
}

// R1: the login is what a revocation of its family still ends, after any number
// of renewals; and the index forgets who has gone.
func TestR1RevokedFamilyEndsRenewedSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &portcullis.Guard{Verifier: user(parseLogin)}
		var ends []*end
		for range 3 {
			_, e := admit(t, g, "i u s c chat 1m", asSocket...)
			ends = append(ends, e)
		}
		left, _ := admit(t, g, "i u s c chat 1m", asSocket...)
		left.Close()
		for i := range 5 {
			time.Sleep(30 * time.Second)
			s, _ := admit(t, g, "i u s c chat 1m")
			s.Close()
			for _, e := range ends {
				e.want(t, "renewed", nil, time.Time{})
			}
			n := 0
			for info := range g.Sessions() {
				if n++; info.Renewed != i+1 {
					t.Errorf("renewed %d times, want %d", info.Renewed, i+1)
				}
			}
			if n != 3 {
				t.Errorf("%d sockets, want 3", n)
			}
		}
		if err := g.Revoke(t.Context(), portcullis.Revocation{SessionID: "s"}); err != nil {
			t.Fatal(err)
		}
		for _, e := range ends {
			e.want(t, "revoked", portcullis.ErrRevoked, time.Now())
		}
		if n := g.Logins(); n != 0 {
			t.Errorf("%d logins are left", n)
		}
	})
}
