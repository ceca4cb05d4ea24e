package interop

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// abrupt is what an end hears when the other one went without a Close frame.
var abrupt = end{Code: 1006}

// W5: a Close passes both ways, with its code and its reason, and comes back.
func TestInteropWSW5Close(t *testing.T) {
	onStages(t, func(t *testing.T, open opener) {
		s := open(t, nil, "")
		for _, want := range []end{
			{1000, ""},
			{1000, "done"},
			{1001, "away"},
			{1008, "policy"},
			{1011, "Störung €"},
			{1012, "shutdown"},
			{3001, "renew"},
			{4999, strings.Repeat("€", 41)}, // 123 bytes
		} {
			for _, byClient := range []bool{true, false} {
				o, _, _ := s.open(nil)
				by := s.backend
				if byClient {
					by = s.client
				}
				by.do("close", o.with(told{"code": want.Code, "reason": want.Reason}))
				o.wantEnds(want, want)
			}
		}
		o, _, _ := s.open(nil)
		s.client.do("close", o.with(nil))
		o.wantEnds(end{Code: 1005}, end{Code: 1005})
		o, _, _ = s.open(nil)
		s.backend.do("close", o.with(nil))
		o.wantEnds(end{Code: 1005}, end{Code: 1005})
	})
}

// L1, L2: however an end goes, the other one hears of it, and nothing of the
// socket stays.
func TestInteropWSL1L2AbruptEnds(t *testing.T) {
	onStages(t, func(t *testing.T, open opener) {
		s := open(t, nil, "")
		for _, how := range []struct {
			do   string
			args told
		}{
			{"terminate", nil},
			{"finish", nil},
			{"breakOff", told{"size": 16 << 20}},
		} {
			for _, by := range []*peer{s.client, s.backend} {
				o, _, _ := s.open(nil)
				o.exchange(told{"size": 1000})
				by.do(how.do, o.with(how.args))
				o.wantEnds(abrupt, abrupt)
				other := s.client
				if by == s.client {
					other = s.backend
				}
				if n := tell[int](other, "unread", o.with(nil)); n != 0 {
					t.Errorf("%s: a message too many was delivered", how.do)
				}
			}
		}
		// One that doesn't read, and is sent more than all buffers hold; it goes, or
		// the other one does: the event loop hears of that, the goroutines find the
		// socket stalled.
		stall := ", stall: 10m"
		if s.secure {
			stall = ", stall: 1s"
		}
		s = open(t, nil, stall)
		for _, ends := range [][2]*peer{{s.client, s.backend}, {s.backend, s.client}} {
			for i, how := range []string{"terminate", "reset"} {
				o, _, _ := s.open(nil)
				ends[0].do("pause", o.with(nil))
				_ = begin[any](ends[1], "send", o.with(told{"size": 16 << 20, "repeats": true}))
				s.wantSessions(1)
				ends[i].do(how, o.with(nil))
				s.wantSessions(0)
				ends[0].do("resume", o.with(nil))
				o.wantEnds(abrupt, abrupt)
			}
		}
	})
}

// L4: a backend that is killed takes its sockets with it, and leaves nothing.
func TestInteropWSL4BackendKilled(t *testing.T) {
	onStages(t, func(t *testing.T, open opener) {
		s := open(t, nil, "")
		var sockets []socket
		for range 20 {
			o, _, _ := s.open(nil)
			sockets = append(sockets, o)
		}
		s.wantSessions(len(sockets))
		s.backend.crash()
		for _, o := range sockets {
			if got := tell[end](s.client, "closed", o.with(nil)); got != abrupt {
				t.Errorf("the client's end is %v, want %v", got, abrupt)
			}
		}
		s.wantSessions(0)
		if _, wait := s.begin(nil); wait().Status != http.StatusBadGateway {
			t.Error("without a backend: not 502")
		}
	})
}

// L2: two hundred sockets open, speak and end at once; no session and no
// descriptor stays.
func TestInteropWSL2Crowd(t *testing.T) {
	onStages(t, func(t *testing.T, open opener) {
		s := open(t, nil, "")
		first, _, _ := s.open(nil)
		s.wantSessions(1) // which leaves a connection to the admin API
		before := descriptors(t)
		var sockets []socket
		var opening []func() opening
		for range 200 {
			o, wait := s.begin(nil)
			sockets, opening = append(sockets, o), append(opening, wait)
		}
		for i, wait := range opening {
			if status := wait().Status; status != http.StatusSwitchingProtocols {
				t.Fatalf("socket %d: %d", i, status)
			}
		}
		s.wantSessions(1 + len(sockets))
		var exchanging []func()
		for _, o := range sockets {
			exchanging = append(exchanging, o.beginExchange(told{"count": 3, "size": 500}))
		}
		for _, wait := range exchanging {
			wait()
		}
		for i, o := range sockets {
			[]*peer{s.client, s.backend}[i%2].do([]string{"close", "terminate"}[i/2%2], o.with(nil))
		}
		for i, o := range sockets {
			want := []end{{Code: 1005}, abrupt}[i/2%2]
			o.wantEnds(want, want)
		}
		s.wantSessions(1)
		eventually(t, fmt.Sprintf("no more than %d descriptors", before), func() bool { return descriptors(t) <= before })
		first.finish()
	})
}

// descriptors returns how many files and connections this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// R1, R2: a revocation ends the sockets of whom it names, and expiry those of
// that token; both ends hear which it was, and others stay.
func TestInteropWSR1R2Ends(t *testing.T) {
	t.Parallel() // it waits for an expiry
	onStages(t, func(t *testing.T, open opener) {
		t.Parallel()
		s := open(t, told{"perMessageDeflate": true}, "")
		as := func(token string) socket {
			o, _, _ := s.open(told{"perMessageDeflate": true, "headers": map[string]string{"Authorization": "Bearer " + token}})
			o.exchange(told{"count": 3, "size": 1000})
			return o
		}
		bob := as(s.front.token("bob", time.Hour))
		short := as(s.front.token("bob", brief))
		alices := []socket{as(s.token), as(s.token)}
		s.revoke("alice")
		for _, o := range alices {
			o.wantEnds(end{3003, "session_revoked"}, end{3003, "session_revoked"})
		}
		if _, wait := s.begin(nil); wait().Status != http.StatusUnauthorized {
			t.Error("with a revoked token: not 401")
		}
		short.wantEnds(end{3000, "token_expired"}, end{3000, "token_expired"})
		bob.exchange(told{"size": 1000})
		bob.finish()
	})
}

// brief is how long a token lives that is to expire: long enough to be used.
const brief = 5 * time.Second

// A backend whose certificate comes from nobody that the route trusts gets
// nothing.
func TestInteropWSBackendOfAnotherCA(t *testing.T) {
	s := openStage(t, startPeer(t, "ws.js"), startPeer(t, "ws.js"), told{"tls": newCertificate(t)}, ", backend_ca_file: "+newCertificate(t).file(t))
	if _, wait := s.begin(nil); wait().Status != http.StatusBadGateway {
		t.Error("not 502")
	}
}
