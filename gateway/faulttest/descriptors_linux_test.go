package faulttest_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// L3: when the gateway has few descriptors left, whoever comes is refused,
// and nothing else happens: live sockets go on, a revocation ends the right one, it
// doesn't crash, and as soon as somebody leaves, others are served.
func TestL3OutOfDescriptors(t *testing.T) {
	t.Parallel()
	p := start(t, threePolicies)
	alice, bob := fresh("strict_", "good"), fresh("stale_", "good")
	operator := newOperator(t)
	if err := p.revoke(operator, "nobody"); err != nil { // so that the operator is connected
		t.Fatal(err)
	}
	sockets := []*client{p.socket("/", bob), p.socket("/frail/", alice)}
	most := p.limit(120)

	// Fill it, until several in a row get nothing.
	missed, answers := 0, map[string]int{}
	for missed < 5 {
		c, resp, err := p.ask(p.addr, "/", fresh("strict_", "good"), true, true, 500*time.Millisecond)
		switch {
		case err != nil:
			answers["nothing"]++
		case resp.StatusCode == http.StatusSwitchingProtocols:
			sockets, missed = append(sockets, c), 0
			continue
		default:
			answers[resp.Status]++
			if code := resp.StatusCode; code != http.StatusServiceUnavailable && code != http.StatusBadGateway {
				t.Errorf("a handshake without descriptors: %d, want 503 or 502", code)
			}
			_ = c.Close()
		}
		missed++
	}
	if len(sockets) < 20 {
		t.Fatalf("only %d sockets: the test doesn't test", len(sockets))
	}
	t.Logf("%d sockets; then %v", len(sockets), answers)
	// What a handshake can't use, connections can that say nothing.
	var silent []net.Conn
	eventually(t, "connections are turned away", func() bool {
		nc, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, nc)
		return strings.Contains(p.log.String(), "the last descriptors are for those who are there")
	})
	defer func() {
		for _, nc := range silent {
			_ = nc.Close()
		}
	}()
	bad, resp, err := p.ask(p.addr, "/", fresh("strict_", "bad"), true, false, 500*time.Millisecond)
	if err == nil {
		if resp.StatusCode == http.StatusSwitchingProtocols {
			t.Error("a bad token is let in")
		}
		_ = bad.Close()
	}

	if left := most - p.files(); left < 8 {
		t.Errorf("only %d of %d descriptors are left for the operator and the token system", left, most)
	}
	crowd(4, len(sockets)/4, func(n int) { sockets[n].wantEcho("out of descriptors") })
	// Operators are heard, those too who connect now.
	if _, err := p.sessions(newOperator(t)); err != nil {
		t.Errorf("an operator who connects now: %v", err)
	}
	if err := p.revoke(operator, strings.TrimSuffix(bob, "-good")); err != nil {
		t.Errorf("revoking: %v", err)
	}
	sockets[0].wantClose("the one whose user is revoked", 3003, "session_revoked")
	sockets[1].wantEcho("another user")

	for _, c := range sockets[2 : len(sockets)/2] {
		_ = c.Close()
	}
	eventually(t, "others are served", func() bool {
		c, resp, err := p.ask(p.addr, "/", alice, true, true, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		return resp.StatusCode == http.StatusSwitchingProtocols
	})
	for _, c := range sockets[len(sockets)/2:] {
		c.wantEcho("after")
	}
	for _, c := range sockets {
		_ = c.Close()
	}
	eventually(t, "no session is left", func() bool {
		n, err := p.sessions(newOperator(t))
		return err == nil && n == 0
	})
}
