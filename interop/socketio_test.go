package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A hall has Socket.IO at both ends, and a gateway in between.
type hall struct {
	*front
	backend *peer
	client  *peer
}

func openHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{backend: startPeer(t, "socketio.js"), client: startPeer(t, "socketio.js")}
	listens := told{"perMessageDeflate": map[string]int{"threshold": 1024}}
	h.front = openFront(t, tell[struct{ URL string }](h.backend, "listen", listens).URL, "")
	return h
}

// A visitor is a connection of Socket.IO.
type visitor struct {
	*hall
	name string
}

// An outcome is what became of an attempt to connect.
type outcome struct {
	Transport string // "": none
	Status    int    // of the refusal
}

// A leaving is what a client hears of the end of its connection.
type leaving struct {
	Reason string
	Code   int // of a Close frame
	Word   string
	Status int // of an answer to a request
}

// A welcome is what the backend knows about a connection.
type welcome struct {
	Headers map[string]string
	URL     string
	Auth    map[string]string
}

// bearer carries a token in each request.
func bearer(token string) told {
	return told{"extraHeaders": map[string]string{"Authorization": "Bearer " + token}}
}

// open opens a connection. How it carries its token is told.
func (h *hall) open(name string, more told) visitor {
	h.Helper()
	h.client.do("open", told{"name": name, "url": h.url}.and(more))
	return visitor{h, name}
}

// enter opens a connection and wants it to be there.
func (h *hall) enter(name string, more told) (visitor, welcome) {
	h.Helper()
	v := h.open(name, more)
	if got := v.outcome(); got.Transport == "" {
		h.Fatalf("%s: no connection, status %d", name, got.Status)
	}
	return v, tell[welcome](h.backend, "connected", nil)
}

func (v visitor) with(args told) told { return args.and(told{"name": v.name}) }

func (v visitor) outcome() outcome {
	v.Helper()
	return tell[outcome](v.client, "outcome", v.with(nil))
}

// reach waits until the connection is of that transport.
func (v visitor) reach(transport string) {
	v.Helper()
	v.client.do("reach", v.with(told{"transport": transport}))
}

// talk uses the connection: what is said comes back.
func (v visitor) talk() {
	v.Helper()
	if got := v.ask("echo", "é€😀"); got != "é€😀" {
		v.Errorf("%s: the echo is %v", v.name, got)
	}
	for _, size := range []int{0, 10, 200_000} {
		if !tell[struct{ Same bool }](v.client, "binary", v.with(told{"size": size})).Same {
			v.Errorf("%s: %d bytes came back changed", v.name, size)
		}
	}
}

// ask sends an event and waits for its acknowledgement.
func (v visitor) ask(event string, args ...any) any {
	v.Helper()
	return tell[any](v.client, "ask", v.with(told{"event": event, "args": args}))
}

// wantLeaving waits for the end of the connection.
func (v visitor) wantLeaving(want leaving) {
	v.Helper()
	if diff := cmp.Diff(want, tell[leaving](v.client, "end", v.with(nil))); diff != "" {
		v.Errorf("%s's end (-want +got):\n%s", v.name, diff)
	}
}

// D1, W3, W6: Socket.IO by long polling, by WebSocket, and by one after the other,
// with the token wherever a client can put it: rooms, acknowledgements and bytes
// pass, the user is known and the token isn't.
func TestInteropSocketIOD1W3W6(t *testing.T) {
	h := openHall(t)
	token := h.token("alice", time.Hour)
	other, _ := h.enter("bob", bearer(h.token("bob", time.Hour)))
	other.reach("websocket")
	ways := map[string]told{
		"bearer": {"extraHeaders": map[string]string{"Authorization": "Bearer " + token, "X-Forwarded-User": "mallory"}},
		"cookie": {"extraHeaders": map[string]string{"Cookie": "theme=dark; session=" + token, "Origin": h.url, "x-forwarded_user": "mallory"}},
		"query":  {"query": map[string]string{"token": token, "a": "1&2"}},
	}
	for way, carry := range ways {
		for last, transports := range map[string][]string{"polling": {"polling"}, "websocket": {"websocket"}, "upgrade": {"polling", "websocket"}} {
			auth := map[string]string{"token": "the backend's matter"}
			v, w := h.enter(way+" "+last, carry.and(told{"transports": transports, "auth": auth}))
			v.reach(transports[len(transports)-1])
			v.talk()
			if got := w.Headers["x-forwarded-user"]; got != "u-alice" || strings.Contains(fmt.Sprint(w), "mallory") {
				t.Errorf("%s: the backend hears of %q, or of mallory", v.name, got)
			}
			if diff := cmp.Diff(auth, w.Auth); diff != "" {
				t.Errorf("%s: auth (-sent +received):\n%s", v.name, diff)
			}
			if strings.Contains(fmt.Sprint(w), token) {
				t.Errorf("%s: the backend got the token", v.name)
			} else if way == "query" && !strings.Contains(w.URL, "a=1%262") {
				t.Errorf("%s: the URL became %q", v.name, w.URL)
			}

			room := v.name
			v.ask("join", room)
			other.ask("join", room)
			v.ask("say", room, "hello")
			for _, listener := range []visitor{v, other} {
				want := map[string]string{"user": "u-alice", "text": "hello"}
				if diff := cmp.Diff(want, tell[map[string]string](h.client, "said", listener.with(nil))); diff != "" {
					t.Errorf("%s: said (-want +got):\n%s", v.name, diff)
				}
			}
			v.client.do("close", v.with(nil))
			v.wantLeaving(leaving{Reason: "io client disconnect"})
		}
	}

	for name, refused := range map[string]struct {
		with told
		want int
	}{
		"no token":              {nil, 401},
		"made-up token":         {bearer(opaque("a made-up token")), 401},
		"auth is no token":      {told{"auth": map[string]string{"token": token}}, 401},
		"cookie without origin": {told{"extraHeaders": map[string]string{"Cookie": "session=" + token}, "transports": []string{"websocket"}}, 403},
	} {
		for _, transport := range []string{"polling", "websocket"} {
			once := told{"transports": []string{transport}, "reconnection": false}
			if got := h.open(name+" "+transport, once.and(refused.with)).outcome(); got != (outcome{Status: refused.want}) {
				t.Errorf("%s: %+v, want %d", name, got, refused.want)
			}
		}
	}
	other.client.do("close", other.with(nil))
	h.wantSessions(0)
}

// R1, R2: a revocation ends a user's connections however they are made, and no
// others; expiry ends that of the token. The client, which comes back by itself,
// is refused until it has a fresh token.
func TestInteropSocketIOR1R2(t *testing.T) {
	t.Parallel() // it waits for an expiry
	h := openHall(t)
	token, short := h.token("alice", time.Hour), h.token("bob", brief)
	enter := func(name, token string, transports ...string) visitor {
		v, _ := h.enter(name, bearer(token).and(told{"transports": transports}))
		v.reach(transports[len(transports)-1])
		v.talk()
		return v
	}
	expires := enter("expires", short, "polling", "websocket")
	expiresPolling := enter("expires polling", short, "polling")
	upgraded := enter("upgraded", token, "polling", "websocket")
	polling := enter("polling", token, "polling")
	stays := enter("stays", h.token("carol", time.Hour), "polling", "websocket")

	h.revoke("alice")
	upgraded.wantLeaving(leaving{Reason: "transport close", Code: 3003, Word: "session_revoked"})
	polling.wantLeaving(leaving{Reason: "transport error", Status: 401})
	expires.wantLeaving(leaving{Reason: "transport close", Code: 3000, Word: "token_expired"})
	expiresPolling.wantLeaving(leaving{Reason: "transport error", Status: 401})
	left := make(map[string]int) // for the backend
	for range 4 {
		left[tell[struct{ User string }](h.backend, "left", nil).User]++
	}
	if diff := cmp.Diff(map[string]int{"u-alice": 2, "u-bob": 2}, left); diff != "" {
		t.Errorf("connections that left, for the backend (-want +got):\n%s", diff)
	}
	for user, list := range map[string][]visitor{"alice": {upgraded, polling}, "bob": {expires, expiresPolling}} {
		for _, v := range list {
			if got := v.outcome(); got != (outcome{Status: http.StatusUnauthorized}) {
				t.Errorf("%s came back with an old token: %+v", v.name, got)
			}
			eventually(t, v.name+" comes back", func() bool { // not in the second of the revocation
				v.client.do("carry", v.with(bearer(h.token(user, time.Hour))))
				return v.outcome().Transport != ""
			})
			v.talk()
		}
	}
	stays.talk()
	for _, v := range []visitor{upgraded, polling, expires, expiresPolling, stays} {
		v.client.do("close", v.with(nil))
	}
	h.wantSessions(0)
}

// P1, R1: the requests that Engine.IO's polling makes, one by one: no rule of the
// front is in their way, and from the revocation on each one is refused, the
// one that waits too.
func TestInteropSocketIOP1R1Polling(t *testing.T) {
	h := openHall(t)
	token := h.token("alice", time.Hour)
	target := h.url + "/socket.io/?EIO=4&transport=polling&t=abc-_.1"
	request := func(method, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err.Error()
		}
		return resp.StatusCode, string(answer)
	}
	want := func(method, body, begins string) string {
		t.Helper()
		status, answer := request(method, body)
		if status != http.StatusOK || !strings.HasPrefix(answer, begins) {
			t.Fatalf("%s %.20s: %d %.100q, want %s", method, body, status, answer, begins)
		}
		return answer
	}
	var hello struct {
		SID      string
		Upgrades []string
	}
	if err := json.Unmarshal([]byte(want("GET", "", "0{")[1:]), &hello); err != nil || !slices.Contains(hello.Upgrades, "websocket") {
		t.Fatalf("%+v, %v", hello, err)
	}
	target += "&sid=" + url.QueryEscape(hello.SID)
	want("POST", "40", "ok")
	want("GET", "", "40{")
	// An event in text, then one with bytes, in one payload.
	want("POST", `420["echo","`+strings.Repeat("é", 10_000)+`"]`+"\x1e"+`451-1["echo",{"_placeholder":true,"num":0}]`+"\x1e"+"bAAECAw==", "ok")
	if got, echo := want("GET", "", "430["), `461-1[{"_placeholder":true,"num":0}]`+"\x1e"+"bAAECAw=="; !strings.HasSuffix(got, echo) {
		t.Errorf("%q doesn't end with %q", got, echo)
	}

	waiting := make(chan int)
	go func() {
		status, _ := request("GET", "")
		waiting <- status
	}()
	h.wantSessions(1)
	h.revoke("alice")
	if got := <-waiting; got != http.StatusUnauthorized {
		t.Errorf("the one that waited: %d, want 401", got)
	}
	for _, method := range []string{"GET", "POST"} {
		if status, answer := request(method, "2"); status != http.StatusUnauthorized || strings.Contains(answer, hello.SID) {
			t.Errorf("%s: %d %q, want 401", method, status, answer)
		}
	}
	h.wantSessions(0)
}
