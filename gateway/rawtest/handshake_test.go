package rawtest_test

import (
	"crypto/sha1"
	"encoding/base64"
	"io"
	"strings"
	"testing"
)

const key = "dGhlIHNhbXBsZSBub25jZQ=="

// The parts of a handshake.
const (
	wsVersion = "Sec-WebSocket-Version: 13\r\n"
	wsKey     = "Sec-WebSocket-Key: " + key + "\r\n"
	up        = "Connection: Upgrade\r\nUpgrade: websocket\r\n" + wsVersion + wsKey
	socket    = get + up
	mine      = "GET /x HTTP/1.1\r\n" + host + up
	good      = "Origin: https://good.example.com\r\n"
)

// accept is what a backend answers to key.
func accept() string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// handshakes are answered by the backend with a refusal. Nothing is read behind
// any of them.
var handshakes = []row{
	{"W1 good", socket + "\r\n", "299", "GET /public/"},
	{"W4 a request behind it", socket + "\r\n" + smuggled, "299", "GET /public/"},
	{"W4 a request behind a bad one", strings.Replace(socket, "13", "777", 1) + "\r\n" + smuggled, "426", ""},
	{"W4 a request behind one without a token", mine + "\r\n" + smuggled, "401", ""},
	{"W4 frames behind one without a token", mine + "\r\n\x81\x85\x00\x00\x00\x00hello", "401", ""},
	{"W1 POST, version 777", strings.Replace(strings.Replace(socket, "GET", "POST", 1), "13", "777", 1) + "\r\n" + smuggled, "400", ""},
	{"W1 POST with a body", strings.Replace(socket, "GET", "POST", 1) + "Content-Length: 61\r\n\r\n" + smuggled, "400", ""},
	{"W1 a body", socket + "Content-Length: 61\r\n\r\n" + smuggled, "400", ""},
	{"W1 chunks", socket + chunked + "\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"W1 chunks and a length", socket + "Content-Length: 0\r\n" + chunked + "\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"W1 a length of none", socket + "Content-Length: 0\r\n\r\n", "299", "GET /public/"},
	{"W1 HTTP/1.0", strings.Replace(socket, "HTTP/1.1", "HTTP/1.0", 1) + "\r\n" + smuggled, "400", ""},
	{"W1 HTTP/1.0, alive", strings.Replace(socket, "HTTP/1.1", "HTTP/1.0", 1) + "Connection: keep-alive\r\n\r\n" + smuggled, "400", ""},
	{"W1 HEAD", strings.Replace(socket, "GET", "HEAD", 1) + "\r\n", "400", ""},
	{"W1 no Host", strings.Replace(socket, host, "", 1) + "\r\n", "400", ""},
	{"W1 two Hosts", socket + host + "\r\n", "400", ""},
	{"W1 absolute", strings.Replace(socket, "/public/", "http://a.example.com/public/", 1) + "\r\n", "400", ""},
	{"W1 a path with dots", strings.Replace(socket, "/public/", "/public/../x", 1) + "\r\n", "400", ""},
	{"W1 Upgrade only", get + "Upgrade: websocket\r\n" + wsVersion + wsKey + "\r\n", "299 299", "GET /public/"},
	{"W1 Connection only", get + "Connection: Upgrade\r\n" + wsVersion + wsKey + "\r\n", "299 299", "GET /public/"},
	{"W1 Connection with a word more", strings.Replace(socket, "Connection: Upgrade", "Connection: Upgrade2", 1) + "\r\n", "299 299", "GET /public/"},
	{"W1 Upgrade in two lines", socket + "Upgrade: h2c\r\n\r\n", "299", "GET /public/"},
	{"W1 Upgrade as a list", strings.Replace(socket, "websocket", "h2c, WebSocket", 1) + "\r\n", "299", "GET /public/"},
	{"W1 a version in a list", strings.Replace(socket, "13", "13, 8", 1) + "\r\n", "426", ""},
	{"W1 a version with a zero", strings.Replace(socket, "13", "013", 1) + "\r\n", "426", ""},
	{"W1 a key of 15 bytes", strings.Replace(socket, key, "AAAAAAAAAAAAAAAAAAAA", 1) + "\r\n", "400", ""},
	{"W1 a key with a line break", strings.Replace(socket, key, key[:8]+"\r\n "+key[8:], 1) + "\r\n", "400", ""},
	{"W1 two keys", socket + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", "400", ""},
	{"W1 an alias of the key", socket + "Sec_WebSocket_Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", "299", "GET /public/"},
	{"W4 h2c", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", ""},
	{"W4 h2c without Connection", get + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "299 299", "GET /public/"},
	{"W4 CONNECT with a protocol", "CONNECT /public/ HTTP/1.1\r\n" + host + ":protocol: websocket\r\n\r\n", "400", ""},

	{"D2 proxies", socket + "Forwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nX_Original_URL: /x\r\n\r\n", "299", "GET /public/"},
	{"fields of one connection", socket + "Keep-Alive: 300\r\nProxy-Connection: x\r\nTe: trailers\r\nProxy-Authorization: Basic eDp5\r\n\r\n", "299", "GET /public/"},

	{"W3 no Origin", mine + bearer + "\r\n", "299", "GET /x"},
	{"W3 no Origin, cookie", mine + "Cookie: session=TOKEN\r\n\r\n", "403", ""},
	{"W3 listed", mine + bearer + good + "\r\n", "299", "GET /x"},
	{"W3 listed, cookie", mine + "Cookie: session=TOKEN\r\n" + good + "\r\n", "299", "GET /x"},
	{"W3 own", mine + "Cookie: session=TOKEN\r\nOrigin: http://a.example.com\r\n\r\n", "299", "GET /x"},
	{"W3 own by another scheme", mine + bearer + "Origin: https://a.example.com\r\n\r\n", "403", ""},
	{"W3 own by a proxy's word", mine + bearer + "X-Forwarded-Proto: https\r\nOrigin: https://a.example.com\r\n\r\n", "403", ""},
	{"W3 own by another Host", mine + bearer + "X-Forwarded-Host: evil.example.com\r\nOrigin: http://evil.example.com\r\n\r\n", "403", ""},
	{"W3 own with another port", mine + bearer + "Origin: http://a.example.com:8080\r\n\r\n", "403", ""},
	{"W3 null", mine + bearer + "Origin: null\r\n\r\n", "403", ""},
	{"W3 empty", mine + bearer + "Origin:\r\n\r\n", "403", ""},
	{"W3 two", mine + bearer + good + good + "\r\n", "403", ""},
	{"W3 two in a line", mine + bearer + "Origin: https://good.example.com https://evil.example.com\r\n\r\n", "403", ""},
	{"W3 a list", mine + bearer + "Origin: https://good.example.com, https://evil.example.com\r\n\r\n", "403", ""},
	{"W3 suffix", mine + bearer + "Origin: https://good.example.com.evil.example\r\n\r\n", "403", ""},
	{"W3 prefix", mine + bearer + "Origin: https://evilgood.example.com\r\n\r\n", "403", ""},
	{"W3 below it", mine + bearer + "Origin: https://x.good.example.com\r\n\r\n", "403", ""},
	{"W3 as a user's name", mine + bearer + "Origin: https://good.example.com@evil.example\r\n\r\n", "403", ""},
	{"W3 listed, with a user's name", mine + bearer + "Origin: https://x@good.example.com\r\n\r\n", "403", ""},
	{"W3 as a fragment", mine + bearer + "Origin: https://evil.example#https://good.example.com\r\n\r\n", "403", ""},
	{"W3 as a path", mine + bearer + "Origin: https://evil.example/https://good.example.com\r\n\r\n", "403", ""},
	{"W3 with a slash", mine + bearer + "Origin: https://good.example.com/\r\n\r\n", "403", ""},
	{"W3 with a final dot", mine + bearer + "Origin: https://good.example.com.\r\n\r\n", "403", ""},
	{"W3 with another port", mine + bearer + "Origin: https://good.example.com:8443\r\n\r\n", "403", ""},
	{"W3 with its own port", mine + bearer + "Origin: https://good.example.com:443\r\n\r\n", "299", "GET /x"},
	{"W3 in capitals", mine + bearer + "Origin: HTTPS://GOOD.example.com\r\n\r\n", "299", "GET /x"},
	{"W3 without a scheme", mine + bearer + "Origin: good.example.com\r\n\r\n", "403", ""},
	{"W3 file", mine + bearer + "Origin: file://\r\n\r\n", "403", ""},
	{"W3 encoded", mine + bearer + "Origin: https://good%2eexample.com\r\n\r\n", "403", ""},
	{"W3 on a public route", socket + "Origin: https://evil.example\r\n\r\n", "403", ""},
	{"W3 an old name", mine + bearer + good + "Sec-WebSocket-Origin: https://evil.example\r\n\r\n", "299", "GET /x"},

	{"W6 a marker", mine + "Sec-WebSocket-Protocol: bearer, TOKEN\r\n\r\n", "299", "GET /x"},
	{"W6 a marker and others", mine + "Sec-WebSocket-Protocol: v1, bearer\r\nSec-WebSocket-Protocol: TOKEN, v2\r\n\r\n", "299", "GET /x"},
	{"W6 a marker without a token", mine + "Sec-WebSocket-Protocol: bearer\r\n\r\n", "401", ""},
	{"W6 two tokens", mine + "Sec-WebSocket-Protocol: bearer, TOKEN, bearer, other\r\n\r\n", "401", ""},
	{"W6 with a cookie, and no Origin", mine + "Cookie: session=TOKEN\r\nSec-WebSocket-Protocol: bearer, TOKEN\r\n\r\n", "403", ""},
	{"W6 in base64", mine + "Sec-WebSocket-Protocol: base64url.bearer.authorization." + encoded() + "\r\n\r\n", "299", "GET /x"},
	{"W6 as Kubernetes has it", mine + "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io." + encoded() + ", v1\r\n\r\n", "299", "GET /x"},
}

func encoded() string { return base64.RawURLEncoding.EncodeToString([]byte(token)) }

func TestW1W3W4W6Handshakes(t *testing.T) { table(t, handshakes) }

// switching is a backend's right answer, with more fields.
func switching(fields string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept() + "\r\n" + fields + "\r\n"
}

// W6: the backend sees neither marker nor token; the marker is what the client is
// answered where the backend selects nothing.
func TestW6WhatTheBackendIsOffered(t *testing.T) {
	for _, tt := range []struct{ name, offer, answered, offered, want string }{
		{"nothing else", "bearer, TOKEN", "", "", "bearer"},
		{"others, none selected", "v1, bearer, TOKEN, v2", "", "v1, v2", "bearer"},
		{"others, one selected", "v1, bearer, TOKEN, v2", "v2", "v1, v2", "v2"},
		{"in two lines", "v1\r\nSec-WebSocket-Protocol: bearer, TOKEN", "v1", "v1", "v1"},
		{"in base64", "v1, base64url.bearer.authorization." + encoded(), "", "v1", ""},
		{"the backend selects the marker", "v1, bearer, TOKEN", "bearer", "v1", "502"},
		{"the backend selects the token", "v1, bearer, TOKEN", token, "v1", "502"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := open(t, twoRoutes)
			fields := ""
			if tt.answered != "" {
				fields = "Sec-WebSocket-Protocol: " + tt.answered + "\r\n"
			}
			h.backend.reply = func(*request) string { return switching(fields) }
			sent := strings.ReplaceAll(mine+"Sec-WebSocket-Protocol: "+tt.offer+"\r\n\r\n", "TOKEN", token)
			answers, err := h.exchange(sent, nil, nil)
			if err != nil || len(answers) != 1 {
				t.Fatalf("%d answers, err %v", len(answers), err)
			}
			asked, _ := h.backend.take()
			if len(asked) != 1 || strings.Join(all(asked[0].fields, "Sec-WebSocket-Protocol"), ", ") != tt.offered || strings.Contains(asked[0].raw, encoded()) {
				t.Errorf("the backend got\n%s\nwant the offer %q", asked[0].raw, tt.offered)
			}
			switch a := answers[0]; {
			case tt.want == "502" && a.status != 502, tt.want != "502" && (a.status != 101 || a.get("Sec-WebSocket-Protocol") != tt.want):
				t.Errorf("%d, subprotocol %q; want %q", a.status, a.get("Sec-WebSocket-Protocol"), tt.want)
			}
		})
	}
}

// W1, W2: a fake 101. Neither side can make a tunnel out of a handshake that
// isn't one: nothing of the second request gets through it.
func TestW1W2FakeHandshake(t *testing.T) {
	fake := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	for _, tt := range []struct {
		name, send, reply string
		want              int
	}{
		{"POST, version 777, a wrong Accept", strings.Replace(strings.Replace(socket, "GET", "POST", 1), "13", "777", 1), fake + "Sec-WebSocket-Accept: x\r\n\r\n", 400},
		{"version 777", strings.Replace(socket, "13", "777", 1), switching(""), 426},
		{"a wrong Accept", socket, fake + "Sec-WebSocket-Accept: x\r\n\r\n", 502},
		{"the Accept of another key", socket, fake + "Sec-WebSocket-Accept: " + strings.ToUpper(accept()) + "\r\n\r\n", 502},
		{"no Accept", socket, fake + "\r\n", 502},
		{"a 101 to a call", get, switching(""), 502},
		{"a 101 to a call with half a handshake", get + "Upgrade: websocket\r\n" + wsVersion + wsKey, switching(""), 502},
		{"a 200 with a handshake's fields", socket, strings.Replace(switching("Content-Length: 0\r\n"), "101 Switching Protocols", "200 OK", 1), 200},
		{"HTTP/1.0", socket, strings.Replace(switching(""), "HTTP/1.1", "HTTP/1.0", 1), 502},
		{"HTTP/2.0", socket, strings.Replace(switching(""), "HTTP/1.1", "HTTP/2.0", 1), 502},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := open(t, twoRoutes)
			h.backend.reply = func(*request) string { return tt.reply }
			answers, err := h.exchange(tt.send+"\r\n"+smuggled+last, nil, nil)
			if err != nil || len(answers) == 0 || answers[0].status != tt.want {
				t.Fatalf("%d answers, err %v; want the first to be %d", len(answers), err, tt.want)
			}
			asked, broken := h.backend.take()
			for _, q := range asked {
				if q.target == "/public/smuggled" && strings.Contains(tt.send, up) {
					t.Error("the second request reached the backend")
				}
			}
			h.backend.mu.Lock()
			defer h.backend.mu.Unlock()
			if len(h.backend.tunneled) > 0 || len(broken) > 0 {
				t.Errorf("through the tunnel: %q, %v", h.backend.tunneled, broken)
			}
		})
	}
}

// W4: frames that come with the handshake wait for the verdict; then the backend
// gets each byte of them once.
func TestW4EarlyFrames(t *testing.T) {
	h := open(t, twoRoutes)
	frames := strings.Repeat("\x81\x85\x01\x02\x03\x04hello", 1000)
	h.backend.reply = func(*request) string { return switching("") }
	h.backend.tunnel = func(c io.ReadWriter) {
		got := make([]byte, len(frames))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != frames {
			t.Errorf("the backend got %.80q, err %v", got, err)
		}
		_, _ = io.WriteString(c, "\x81\x02ok")
	}
	nc := h.dial(t)
	if _, err := io.WriteString(nc, strings.ReplaceAll(mine+bearer, "TOKEN", token)+"\r\n"+frames); err != nil {
		t.Fatal(err)
	}
	r := newReader(nc)
	if a, err := r.answer("GET"); err != nil || a.status != 101 {
		t.Fatalf("%+v, err %v", a, err)
	}
	if got, err := r.bytes(4); err != nil || string(got) != "\x81\x02ok" {
		t.Errorf("the client got %q, err %v", got, err)
	}
}
