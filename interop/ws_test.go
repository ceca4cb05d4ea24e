package interop

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A stage has npm ws at both ends, and a gateway in between.
type stage struct {
	*front
	backend *peer
	client  *peer
	token   string // alice's
	secure  bool   // the backend speaks TLS
	opened  int
}

// An opener has the backend listen as it is told, and opens a stage for it whose
// route says more.
type opener func(t *testing.T, listens told, more string) *stage

// onStages runs a test for backends in the clear, whose sockets are moved by the
// event loop, and for those with TLS, whose sockets are moved by goroutines.
func onStages(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	for _, kind := range []string{"plain", "TLS"} {
		t.Run(kind, func(t *testing.T) {
			backend, client, trust := startPeer(t, "ws.js"), startPeer(t, "ws.js"), ""
			var tls *certificate
			if kind == "TLS" {
				tls = newCertificate(t)
				trust = ", backend_ca_file: " + tls.file(t)
			}
			test(t, func(t *testing.T, listens told, more string) *stage {
				return openStage(t, backend, client, listens.and(told{"tls": tls}), trust+more)
			})
		})
	}
}

// openStage is an opener for those two. At the test's end no session may be left.
func openStage(t *testing.T, backend, client *peer, listens told, more string) *stage {
	t.Helper()
	f := openFront(t, tell[struct{ URL string }](backend, "listen", listens).URL, more)
	t.Cleanup(func() { // before anything is stopped
		if !t.Failed() {
			f.wantSessions(0)
		}
	})
	tls, _ := listens["tls"].(*certificate)
	return &stage{front: f, backend: backend, client: client, token: f.token("alice", time.Hour), secure: tls != nil}
}

// An opening is what a client says about a handshake.
type opening struct {
	Status      int
	Offer       string // of extensions
	Extensions  string
	Subprotocol string
}

// An arrival is what a backend says about one.
type arrival struct {
	Name        string
	URL         string
	Headers     map[string]string
	Extensions  string
	Subprotocol string
}

// A socket has a name, by which both ends know it.
type socket struct {
	*stage
	name string
}

// open opens a socket with alice's token as bearer, unless more is told.
func (s *stage) open(more told) (socket, opening, arrival) {
	s.Helper()
	o, wait := s.begin(more)
	opened := wait()
	if opened.Status != http.StatusSwitchingProtocols {
		s.Fatalf("handshake: %d, want 101", opened.Status)
	}
	return o, opened, tell[arrival](s.backend, "accepted", nil)
}

// begin begins to open one.
func (s *stage) begin(more told) (socket, func() opening) {
	s.Helper()
	s.opened++
	o := socket{s, fmt.Sprint("s", s.opened)}
	args := told{"name": o.name, "url": s.url + "/ws/" + o.name, "headers": map[string]string{"Authorization": "Bearer " + s.token}}
	return o, begin[opening](s.client, "open", args.and(more))
}

// ends are both ends of it, in both orders.
func (o socket) ends() map[string][2]*peer {
	return map[string][2]*peer{"client to backend": {o.client, o.backend}, "backend to client": {o.backend, o.client}}
}

// with adds the name of the socket.
func (o socket) with(args told) told { return args.and(told{"name": o.name}) }

// A digest says what messages there were.
type digest struct {
	Count int
	Bytes int
	Hash  string
}

// exchange sends messages both ways at once, and wants them to arrive as they
// were sent.
func (o socket) exchange(messages told) {
	o.Helper()
	o.beginExchange(messages)()
}

// beginExchange begins an exchange, and returns what waits for it.
func (o socket) beginExchange(messages told) (wait func()) {
	o.Helper()
	count, ok := messages["count"].(int)
	if !ok {
		count = 1
	}
	var waits []func()
	for way, ends := range o.ends() {
		sent := begin[digest](ends[0], "send", o.with(messages))
		received := begin[digest](ends[1], "receive", o.with(told{"count": count}))
		waits = append(waits, func() {
			o.Helper()
			if diff := cmp.Diff(sent(), received()); diff != "" {
				o.Errorf("%s: messages (-sent +received):\n%s", way, diff)
			}
		})
	}
	return func() {
		o.Helper()
		for _, wait := range waits {
			wait()
		}
	}
}

// An end is what a peer hears of a socket's end.
type end struct {
	Code   int
	Reason string
}

// wantEnds waits until both ends have heard of it.
func (o socket) wantEnds(client, backend end) {
	o.Helper()
	for name, side := range map[string]struct {
		*peer
		want end
	}{"client": {o.client, client}, "backend": {o.backend, backend}} {
		if got := tell[end](side.peer, "closed", o.with(nil)); got != side.want {
			o.Errorf("the %s's end is %v, want %v", name, got, side.want)
		}
	}
}

// finish closes a socket as its client does.
func (o socket) finish() {
	o.Helper()
	o.client.do("close", o.with(told{"code": 1000}))
	o.wantEnds(end{1000, ""}, end{1000, ""})
}

// W2: an extension is between the two ends: what the client offers, down to its
// parameters, comes to the backend, whose choice comes to the client; and both
// understand each other in it.
func TestInteropWSW2Compression(t *testing.T) {
	type options = map[string]any
	cases := map[string]struct{ client, backend any }{
		"none":                {false, options{}},
		"declined":            {options{}, false},
		"as it is":            {options{}, options{}},
		"no context takeover": {options{"clientNoContextTakeover": true, "serverNoContextTakeover": true}, options{"threshold": 0}},
		"wish of the client":  {options{"serverMaxWindowBits": 10, "clientMaxWindowBits": 11}, options{}},
		"wish of the backend": {options{}, options{"serverMaxWindowBits": 9, "clientMaxWindowBits": 12, "clientNoContextTakeover": true}},
	}
	onStages(t, func(t *testing.T, open opener) {
		for name, tt := range cases {
			s := open(t, told{"perMessageDeflate": tt.backend}, "")
			o, opened, arrived := s.open(told{"perMessageDeflate": tt.client})
			if offer := arrived.Headers["sec-websocket-extensions"]; opened.Offer != offer || opened.Extensions != arrived.Extensions {
				t.Errorf("%s: offered %q, answered %q; for the backend %q and %q", name, opened.Offer, opened.Extensions, offer, arrived.Extensions)
			}
			compressed := tt.client != false && tt.backend != false
			if (opened.Extensions != "") != compressed {
				t.Errorf("%s: the answer is %q", name, opened.Extensions)
			}
			const size = 100_000
			for _, binary := range []bool{false, true} {
				o.exchange(told{"count": 3, "size": size, "binary": binary, "repeats": true})
				o.exchange(told{"count": 5, "size": 200, "binary": binary})
				o.exchange(told{"size": size, "binary": binary, "fragments": 7, "repeats": true})
			}
			for side, end := range map[string]*peer{"client": s.client, "backend": s.backend} {
				if read := tell[int](end, "read", o.with(nil)); (read < size) != compressed {
					t.Errorf("%s: the %s read %d bytes", name, side, read)
				}
			}
			o.finish()
		}
	})
}

// W5: what the protocol allows passes in strict mode: empty messages and large
// ones, a thousand at once, fragments with pings between them, pings and pongs of
// up to 125 bytes.
func TestInteropWSW5Frames(t *testing.T) {
	onStages(t, func(t *testing.T, open opener) {
		s := open(t, nil, "")
		o, _, _ := s.open(nil)
		for _, size := range []int{0, 1, 125, 126, 65_535, 65_536} {
			o.exchange(told{"count": 2, "size": size})
		}
		o.exchange(told{"count": 1000, "size": 20})
		for _, binary := range []bool{false, true} {
			o.exchange(told{"size": 16 << 20, "binary": binary})
		}
		o.exchange(told{"size": 100_000, "fragments": 9})
		o.exchange(told{"size": 5, "fragments": 9}) // empty ones among them
		want := strings.Split("01234567"+"01234567", "")
		for way, ends := range o.ends() {
			for _, what := range []struct {
				peer  *peer
				heard string
			}{{ends[1], "pings"}, {ends[0], "pongs"}} {
				if diff := cmp.Diff(want, tell[[]string](what.peer, what.heard, o.with(told{"count": len(want)}))); diff != "" {
					t.Errorf("%s: %s between fragments (-want +got):\n%s", way, what.heard, diff)
				}
			}
		}
		for way, ends := range o.ends() {
			for _, payload := range []string{"", "still there?", strings.Repeat("€", 41) + ".."} {
				ends[0].do("ping", o.with(told{"payload": payload}))
				ping := tell[[]string](ends[1], "pings", o.with(nil))
				pong := tell[[]string](ends[0], "pongs", o.with(nil))
				ends[0].do("pong", o.with(told{"payload": payload})) // nobody has asked
				unasked := tell[[]string](ends[1], "pongs", o.with(nil))
				if got := slices.Concat(ping, pong, unasked); !slices.Equal(got, []string{payload, payload, payload}) {
					t.Errorf("%s: ping, pong and pong %q, want %q", way, got, payload)
				}
			}
		}
		o.finish()
	})
}

// W4, W6: a token is found wherever a client can put it, and doesn't go on from
// there; without a good one the backend hears nothing.
func TestInteropWSW4W6Tokens(t *testing.T) {
	coded := func(token string) string {
		return "base64url.bearer.authorization." + base64.RawURLEncoding.EncodeToString([]byte(token))
	}
	authorization := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	onStages(t, func(t *testing.T, open opener) {
		s := open(t, told{"subprotocol": "v2"}, "")
		for name, way := range map[string]struct {
			carry               func(token string) told
			subprotocol, cookie string
		}{
			"bearer": {func(token string) told {
				return told{"headers": authorization(token)}
			}, "", ""},
			"cookie": {func(token string) told {
				return told{"headers": map[string]string{"Cookie": "theme=dark; session=" + token + "; lang=fr"}, "origin": s.url}
			}, "", "theme=dark; lang=fr"},
			"query": {func(token string) told {
				return told{"url": s.url + "/ws?a=1&token=" + url.QueryEscape(token) + "&b=%26", "headers": nil}
			}, "", ""},
			"subprotocol": {func(token string) told {
				return told{"subprotocols": []string{"bearer", token}, "headers": nil}
			}, "bearer", ""},
			"coded subprotocol": {func(token string) told {
				return told{"subprotocols": []string{coded(token), "v1", "v2"}, "headers": nil}
			}, "v2", ""},
			"subprotocol and others": {func(token string) told {
				return told{"subprotocols": []string{"v1", "v2", "bearer", token}, "headers": nil}
			}, "v2", ""},
			"bearer and subprotocols": {func(token string) told {
				return told{"subprotocols": []string{"v1", "v2"}, "headers": authorization(token)}
			}, "v2", ""},
		} {
			o, opened, arrived := s.open(way.carry(s.token))
			if opened.Subprotocol != way.subprotocol {
				t.Errorf("%s: subprotocol %q, want %q", name, opened.Subprotocol, way.subprotocol)
			}
			if text := fmt.Sprint(arrived); strings.Contains(text, s.token) || strings.Contains(text, coded(s.token)) {
				t.Errorf("%s: the backend got the token", name)
			} else if name == "query" && arrived.URL != "/ws?a=1&b=%26" {
				t.Errorf("%s: the URL became %q", name, arrived.URL)
			}
			if got := arrived.Headers["x-forwarded-user"]; got != "u-alice" {
				t.Errorf("%s: the backend hears of %q", name, got)
			}
			if got := arrived.Headers["cookie"]; got != way.cookie {
				t.Errorf("%s: other cookies became %q, want %q", name, got, way.cookie)
			}
			s.client.do("terminate", o.with(nil))

			before := tell[int](s.backend, "connections", nil)
			for what, bad := range map[string]string{"made-up": opaque("a made-up token"), "changed": s.token + "x"} {
				if _, wait := s.begin(way.carry(bad)); wait().Status != http.StatusUnauthorized {
					t.Errorf("%s: a %s token: not 401", name, what)
				}
			}
			if n := tell[int](s.backend, "connections", nil); n != before {
				t.Errorf("%s: the backend heard of a bad token", name)
			}
		}
	})
}
