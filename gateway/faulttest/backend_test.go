package faulttest_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

const twoBackends = `
verify:
  introspection: {url: "http://TOKENS/", client_id: gateway, client_secret_env: SECRET}
routes:
  - {path: /frail/, backend: "http://FRAIL"}
  - {path: /, backend: "http://SOUND"}
`

// L4: a backend fails in one way or another, under load, and comes back. Its calls
// and handshakes are answered 502, its sockets end, and those of the other backend
// notice nothing; nobody is let in who shouldn't be; and all that ends by itself.
func TestL4BackendFails(t *testing.T) {
	says := func(script faultproxy.Script) func(*street) {
		return func(s *street) {
			s.weather.Store(&weather{fromFrail: script})
			s.toFrail.Kill()
		}
	}
	for _, fault := range []struct {
		name   string
		begins func(*street)
	}{
		{"killed", func(s *street) { s.toFrail.Refuse(); s.toFrail.Kill() }},
		{"hangs up", says(faultproxy.Script{Fault: faultproxy.Cut})},
		{"says half of an answer", says(faultproxy.Script{Fault: faultproxy.Cut, At: 20})},
		{"resets", says(faultproxy.Script{Fault: faultproxy.Reset})},
		{"resets in an answer", says(faultproxy.Script{Fault: faultproxy.Reset, At: 20})},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, twoBackends)
			alice := fresh("", "good")
			var frail, sound []*client
			for range 8 {
				frail = append(frail, s.socket("/frail/", alice))
				sound = append(sound, s.socket("/", alice))
			}
			crowd(4, 2, func(n int) { frail[n].wantEcho("before") })

			fault.begins(s)
			crowd(6, 4, func(n int) {
				socket := n%2 == 0
				if got := s.status("/frail/", alice, socket, true); got != http.StatusBadGateway {
					t.Errorf("the backend that fails, socket %v: %d, want 502", socket, got)
				}
				if got := s.status("/frail/", fresh("", "bad"), socket, false); got != http.StatusUnauthorized {
					t.Errorf("a bad token, socket %v: %d, want 401", socket, got)
				}
				want := map[bool]int{true: http.StatusSwitchingProtocols, false: http.StatusOK}[socket]
				if got := s.status("/", alice, socket, true); got != want {
					t.Errorf("the other backend, socket %v: %d, want %d", socket, got, want)
				}
			})
			crowd(4, 2, func(n int) {
				sound[n].wantEcho("meanwhile")
				// A backend that has gone has said no goodbye, and nothing is made
				// up: browsers call that 1006, and clients come back.
				if got := frail[n].end(); !errors.Is(got, errNoClose) {
					t.Errorf("a socket of the backend that fails ends with %v, want %v", got, errNoClose)
				}
			})

			s.weather.Store(&weather{})
			s.toFrail.Kill()
			_ = s.toFrail.Listen() // unless it does
			eventually(t, "its calls are answered again", func() bool { return s.status("/frail/", alice, false, true) == http.StatusOK })
			s.socket("/frail/", alice).wantEcho("after")
			crowd(4, 2, func(n int) {
				sound[n].wantEcho("after")
				_ = sound[n].Close()
			})
		})
	}
}

// L4: a backend that takes connections and says nothing keeps nobody for ever who
// asks for a socket, and nobody else at all.
func TestL4BackendIsSilent(t *testing.T) {
	t.Parallel()
	s := open(t, twoBackends)
	alice := fresh("", "good")
	lives := s.socket("/frail/", alice)
	for _, c := range s.toFrail.Conns() {
		c.Down.Set(faultproxy.Script{Fault: faultproxy.Hold})
	}
	s.weather.Store(&weather{fromFrail: faultproxy.Script{Fault: faultproxy.Hold}})
	answers := make(chan int, 10)
	for range cap(answers) {
		go func() { answers <- s.status("/frail/", alice, true, true) }()
	}
	// Who gives up takes the call to the backend along.
	crowd(2, 2, func(int) {
		if _, _, err := s.ask(s.addr, "/frail/", alice, false, true, 100*time.Millisecond); !errors.Is(err, errSilence) {
			t.Errorf("a call: %v, want silence", err)
		}
	})
	if got := s.status("/", alice, false, true); got != http.StatusOK {
		t.Errorf("the other backend: %d, want 200", got)
	}
	for range cap(answers) {
		if got := <-answers; got != http.StatusGatewayTimeout {
			t.Errorf("a handshake: %d, want 504", got)
		}
	}
	s.weather.Store(&weather{})
	for _, c := range s.toFrail.Conns() {
		c.Down.Set(faultproxy.Script{})
	}
	lives.wantEcho("the socket that was there before")
	if got := s.status("/frail/", alice, false, true); got != http.StatusOK {
		t.Errorf("after: %d, want 200", got)
	}
	_ = lives.Close()
}
