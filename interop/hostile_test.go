package interop

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A hostile token system answers what it is asked under its honest paths, and
// attacks everywhere else.
type hostile struct {
	url   string
	asked atomic.Int64 // requests that it attacked

	mu    sync.Mutex
	conns []net.Conn
}

// An exchange is one request to a hostile token system.
type exchange struct {
	net.Conn
	request string // as it came
	url     string // of the token system
	good    string // what would have been right to answer
	media   string // and its type
}

func startHostile(t *testing.T, target target, attack func(*exchange)) *hostile {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{url: "http://" + l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, conn)
			h.mu.Unlock()
			running.Go(func() { defer conn.Close(); h.serve(conn, target, attack) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			_ = c.Close()
		}
		h.mu.Unlock()
		running.Wait()
	})
	return h
}

func (h *hostile) serve(conn net.Conn, target target, attack func(*exchange)) {
	var request bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &request)))
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
	if body, ok := target.honest(h.url)[req.URL.Path]; ok {
		(&exchange{Conn: conn, media: "application/json", good: body}).answer("200 OK")
		return
	}
	h.asked.Add(1)
	attack(&exchange{Conn: conn, request: request.String(), url: h.url, good: target.good(h.url), media: target.media})
}

// say writes what it is told to, and reports whether somebody still listens.
func (x *exchange) say(s ...string) bool {
	_, err := io.WriteString(x, strings.Join(s, ""))
	return err == nil
}

// answer is a whole answer, right but for the status and the further lines.
func (x *exchange) answer(status string, lines ...string) {
	x.say("HTTP/1.1 ", status, "\r\nContent-Type: ", x.media, "\r\nConnection: close\r\n", strings.Join(append(lines, ""), "\r\n"),
		fmt.Sprintf("Content-Length: %d\r\n\r\n", len(x.good)), x.good)
}

// body is an answer with another body.
func body(change func(good string) string) func(*exchange) {
	return func(x *exchange) { x.good = change(x.good); x.answer("200 OK") }
}

// with is an answer with another status, or more lines.
func with(status string, lines ...string) func(*exchange) {
	return func(x *exchange) { x.answer(status, lines...) }
}

// raw is what isn't an answer at all.
func raw(text string) func(*exchange) {
	return func(x *exchange) { x.say(text) }
}

// stay keeps the connection until the other side has had enough.
func (x *exchange) stay() { _, _ = io.Copy(io.Discard, x) }

// slowly says something every now and then until the other side has had enough.
func (x *exchange) slowly(text string) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for x.say(text) {
		<-tick.C
	}
}

// gigabyte says that much, or until the other side has had enough.
func (x *exchange) gigabyte(piece string) {
	block := []byte(strings.Repeat(piece, 64<<10/len(piece)))
	for sent := 0; sent < 1<<30; {
		n, err := x.Write(block)
		if err != nil {
			return
		}
		sent += n
	}
}

// reset makes the connection end with RST instead of FIN.
func (x *exchange) reset() { _ = x.Conn.(*net.TCPConn).SetLinger(0) }

func compressed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// bomb is 1 GB of spaces in 1 MB: gzip members are unpacked one after the other.
var bomb = sync.OnceValue(func() []byte {
	return bytes.Repeat([]byte(compressed(strings.Repeat(" ", 1<<20))), 1<<10)
})

// explode says the bomb.
func (x *exchange) explode(head string) {
	x.say(okHead, head, fmt.Sprintf("Content-Length: %d\r\n\r\n", len(bomb())))
	_, _ = x.Write(bomb())
}

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

// attacks that end by themselves, or at the first look.
var attacks = map[string]func(*exchange){
	"nothing":                func(*exchange) {},
	"reset at once":          func(x *exchange) { x.reset() },
	"reset within the head":  func(x *exchange) { x.say(okHead); x.reset() },
	"reset within the body":  func(x *exchange) { x.say(okHead, "Content-Length: 500\r\n\r\n{"); x.reset() },
	"closed within the head": raw(okHead),
	"closed within the body": func(x *exchange) {
		x.say(okHead, fmt.Sprintf("Content-Length: %d\r\n\r\n", len(x.good)+1), x.good)
	},
	"closed before the last chunk": func(x *exchange) {
		x.say(okHead, fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(x.good), x.good))
	},
	"no length, cut": func(x *exchange) { x.say(okHead, "Connection: close\r\n\r\n", x.good[:len(x.good)-1]) },
	"length too small": func(x *exchange) {
		x.say(okHead, fmt.Sprintf("Content-Length: %d\r\n\r\n", len(x.good)-1), x.good)
	},
	"length negative":    func(x *exchange) { x.say(okHead, "Content-Length: -1\r\n\r\n", x.good) },
	"length no number":   func(x *exchange) { x.say(okHead, "Content-Length: all of it\r\n\r\n", x.good) },
	"two lengths":        with("200 OK", "Content-Length: 1"),
	"bad chunk":          raw(okHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
	"chunk of 2^64":      raw(okHead + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{}"),
	"unknown coding":     with("200 OK", "Transfer-Encoding: gzip"),
	"not HTTP":           raw("SSH-2.0-OpenSSH_9.2\r\n"),
	"HTTP/9.9":           raw("HTTP/9.9 200 OK\r\n\r\n"),
	"no status":          raw("HTTP/1.1 OK\r\n\r\n"),
	"status 20000":       with("20000 OK"),
	"status 0":           with("000 OK"),
	"NUL":                raw("\x00\x00\x00\x00\r\n\r\n"),
	"TLS":                raw("\x15\x03\x01\x00\x02\x02\x16"),
	"bad header":         with("200 OK", "no colon"),
	"redirect to itself": func(x *exchange) { x.answer("302 Found", "Location: "+x.url+"/again") },
	"redirect 307":       func(x *exchange) { x.answer("307 Temporary Redirect", "Location: "+x.url+"/again") },
	"redirect 308":       func(x *exchange) { x.answer("308 Permanent Redirect", "Location: /again") },
	"redirect nowhere":   with("302 Found"),
	"redirect to a file": with("302 Found", "Location: file:///etc/passwd"),
	"204":                raw("HTTP/1.1 204 No Content\r\n\r\n"),
	"300":                with("300 Multiple Choices"),
	"304":                raw("HTTP/1.1 304 Not Modified\r\n\r\n"),
	"400":                with("400 Bad Request"),
	"404":                with("404 Not Found"),
	"407":                with("407 Proxy Authentication Required"),
	"429":                with("429 Too Many Requests", "Retry-After: 1"),
	"500":                with("500 Internal Server Error"),
	"503":                with("503 Service Unavailable", "Retry-After: 86400"),
	"101": func(x *exchange) {
		x.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", x.good)
		x.stay()
	},
	"empty":           body(func(string) string { return "" }),
	"HTML":            func(x *exchange) { x.media = "text/html; charset=utf-8"; x.answer("200 OK") },
	"HTML as JSON":    body(func(string) string { return "<!doctype html><title>log in</title>" }),
	"text":            func(x *exchange) { x.media = "text/plain"; x.answer("200 OK") },
	"bad type":        func(x *exchange) { x.media = "json; ;;"; x.answer("200 OK") },
	"two types":       func(x *exchange) { x.answer("200 OK", "Content-Type: text/html") },
	"gzip":            func(x *exchange) { x.good = compressed(x.good); x.answer("200 OK", "Content-Encoding: gzip") },
	"gzip as JSON":    body(compressed),
	"says gzip":       with("200 OK", "Content-Encoding: gzip"),
	"two codings":     with("200 OK", "Content-Encoding: identity", "Content-Encoding: gzip"),
	"null":            body(func(string) string { return "null" }),
	"true":            body(func(string) string { return "true" }),
	"a number":        body(func(string) string { return "1" }),
	"a string":        body(func(string) string { return `"active"` }),
	"an empty object": body(func(string) string { return "{}" }),
	"an array":        body(func(good string) string { return "[" + good + "]" }),
	"wrong types": body(func(string) string {
		return `{"active":"true","sub":["u1"],"exp":"soon","keys":{"kty":"RSA"},"issuer":1,"jwks_uri":[],"introspection_endpoint":{},"userinfo_endpoint":1}`
	}),
	"duplicates":        body(func(good string) string { return `{"zz":1,"zz":1,` + good[1:] }),
	"duplicates inside": body(func(good string) string { return `{"zz":{"a":1,"a":2},` + good[1:] }),
	"nested": body(func(good string) string {
		return `{"zz":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "," + good[1:]
	}),
	"nested very deep":  body(func(string) string { return strings.Repeat(`{"a":`, 50_000) }),
	"two answers":       body(func(good string) string { return good + good }),
	"garbage behind":    body(func(good string) string { return good + "x" }),
	"cut":               body(func(good string) string { return good[:len(good)-1] }),
	"bad UTF-8":         body(func(good string) string { return "{\"zz\":\"\xff\"," + good[1:] }),
	"byte order mark":   body(func(good string) string { return "\ufeff" + good }),
	"UTF-16":            body(func(good string) string { return "\xff\xfe" + strings.Join(strings.Split(good, ""), "\x00") }),
	"too large, spaces": body(func(good string) string { return good + strings.Repeat(" ", 256<<10) }),
	"too large": body(func(good string) string {
		return `{"zz":"` + strings.Repeat("x", 256<<10) + `",` + good[1:]
	}),

	// Nonsense that quotes us: it must not get into the error.
	"echo":                  func(x *exchange) { x.say(x.request) },
	"echo in the status":    func(x *exchange) { x.answer("500 " + strings.ReplaceAll(x.request, "\r\n", " ")) },
	"echo as status":        func(x *exchange) { x.say("HTTP/1.1 ", last(x.request), "\r\n\r\n") },
	"echo as header":        func(x *exchange) { x.answer("500 No", last(x.request)) },
	"echo as header name":   func(x *exchange) { x.answer("500 No", last(x.request)+": x") },
	"echo as header value":  func(x *exchange) { x.answer("200 OK", "Content-Length: "+last(x.request)) },
	"echo as type":          func(x *exchange) { x.media = last(x.request); x.answer("200 OK") },
	"echo as coding":        func(x *exchange) { x.answer("200 OK", "Content-Encoding: x-"+last(x.request)) },
	"echo as transfer":      func(x *exchange) { x.answer("200 OK", "Transfer-Encoding: "+last(x.request)) },
	"echo as chunk":         func(x *exchange) { x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n", last(x.request)) },
	"echo as location":      func(x *exchange) { x.answer("302 Found", "Location: http://[::1]:99999/"+last(x.request)) },
	"echo as body":          func(x *exchange) { x.good = x.request; x.answer("200 OK") },
	"echo as JSON":          func(x *exchange) { x.good = fmt.Sprintf("%q", last(x.request)); x.answer("200 OK") },
	"echo as a JSON name":   func(x *exchange) { x.good = fmt.Sprintf(`{"zz":1,%q:1,"zz":1}`, last(x.request)); x.answer("200 OK") },
	"echo behind bad JSON":  func(x *exchange) { x.good = `{"active":` + last(x.request); x.answer("200 OK") },
	"echo as a JSON value":  func(x *exchange) { x.good = echoJSON(x); x.answer("200 OK") },
	"echo in a 4xx's words": func(x *exchange) { x.good = x.request; x.answer("400 " + last(x.request)) },
}

// last is the last line of a request that says something: the form with the
// token, or the header that may carry it.
func last(request string) string {
	lines := strings.Fields(request)
	return lines[len(lines)-1]
}

func echoJSON(x *exchange) string {
	return fmt.Sprintf(`{"active":%[1]q,"sub":{%[1]q:1},"exp":%[1]q,"keys":%[1]q,"issuer":%[1]q,"jwks_uri":%[1]q,"introspection_endpoint":%[1]q}`, last(x.request))
}

// floods are attacks that are large.
var floods = map[string]func(*exchange){
	"1 GB body": func(x *exchange) { x.say(okHead, "Content-Length: 1073741824\r\n\r\n", `{"zz":"`); x.gigabyte("x") },
	"1 GB body, chunked": func(x *exchange) {
		x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n")
		x.gigabyte("8\r\nxxxxxxxx\r\n")
	},
	"1 GB of spaces":   func(x *exchange) { x.say(okHead, "\r\n"); x.gigabyte(" ") },
	"1 GB of brackets": func(x *exchange) { x.say(okHead, "\r\n"); x.gigabyte("[") },
	"1 GB error page":  func(x *exchange) { x.say("HTTP/1.1 500 No\r\n\r\n"); x.gigabyte("x") },
	"1 GB redirect":    func(x *exchange) { x.say("HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n"); x.gigabyte("x") },
	"1 GB head":        func(x *exchange) { x.say(okHead); x.gigabyte("X-Flood: xxxxxxxx\r\n") },
	"1 GB header":      func(x *exchange) { x.say(okHead, "X-Flood: "); x.gigabyte("x") },
	"1 GB status":      func(x *exchange) { x.say("HTTP/1.1 200 "); x.gigabyte("x") },
	"1 GB chunk size":  func(x *exchange) { x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n"); x.gigabyte("0") },
	"1 GB extension":   func(x *exchange) { x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n1;"); x.gigabyte("x") },
	"1 GB trailer": func(x *exchange) {
		x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n0\r\n")
		x.gigabyte("X-Flood: x\r\n")
	},
	"1 GB of 100":       func(x *exchange) { x.gigabyte("HTTP/1.1 100 Continue\r\n\r\n") },
	"1 GB of 103":       func(x *exchange) { x.gigabyte("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") },
	"gzip bomb":         func(x *exchange) { x.explode("Content-Encoding: gzip\r\n") },
	"gzip bomb as JSON": func(x *exchange) { x.explode("") },
	"gzip bomb on the way": func(x *exchange) {
		x.say(okHead, "Transfer-Encoding: gzip, chunked\r\n\r\n", fmt.Sprintf("%x\r\n", len(bomb())))
		_, _ = x.Write(bomb())
	},
}

// lulls are attacks that don't end.
var lulls = map[string]func(*exchange){
	"silence":             (*exchange).stay,
	"silence in the head": func(x *exchange) { x.say(okHead); x.stay() },
	"silence in the body": func(x *exchange) { x.say(okHead, "Content-Length: 5000\r\n\r\n", x.good); x.stay() },
	"silent chunks":       func(x *exchange) { x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n"); x.stay() },
	"dripping status":     func(x *exchange) { x.say("HTTP/1.1 200 "); x.slowly("O") },
	"dripping head":       func(x *exchange) { x.say(okHead); x.slowly("X: y\r\n") },
	"dripping header":     func(x *exchange) { x.say(okHead, "X: "); x.slowly("y") },
	"dripping body":       func(x *exchange) { x.say(okHead, "Content-Length: 100000\r\n\r\n"); x.slowly(" ") },
	"dripping chunks":     func(x *exchange) { x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n"); x.slowly("1\r\n \r\n") },
	"dripping error page": func(x *exchange) { x.say("HTTP/1.1 500 No\r\n\r\n"); x.slowly(" ") },
	"dripping 100":        func(x *exchange) { x.slowly("HTTP/1.1 100 Continue\r\n\r\n") },
	"dripping 102":        func(x *exchange) { x.slowly("HTTP/1.1 102 Processing\r\n\r\n") },
	"dripping 103":        func(x *exchange) { x.slowly("HTTP/1.1 103 Early Hints\r\n\r\n") },
}

// patience is how long a test waits; only a failing one does.
const patience = 60 * time.Second

// attacked has a Verifier ask a hostile token system, and returns how many
// requests it made of it.
func attacked(t *testing.T, target target, attack func(*exchange), timeout time.Duration, want error) int64 {
	t.Helper()
	h := startHostile(t, target, attack)
	v := target.verifier(t, h.url, timeout)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	verify(withContext{t, ctx}, v, target.token(h.url), want)
	if ctx.Err() != nil {
		t.Errorf("no answer in %v, with a timeout of %v", patience, timeout)
	}
	return h.asked.Load()
}

// withContext is a test with a context of its own.
type withContext struct {
	testing.TB
	ctx context.Context
}

func (t withContext) Context() context.Context { return t.ctx }

// J4, I1, I2: from nonsense nobody learns anything about a token: neither yes nor
// no. And no redirect is followed.
func TestI1I2J4Nonsense(t *testing.T) {
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			// Else the rest would prove nothing.
			if n := attacked(t, target, with("200 OK"), patience, nil); n == 0 {
				t.Fatal("not asked at all")
			}
			for name, attack := range attacks {
				t.Run(name, func(t *testing.T) {
					want, ok := target.says[name]
					if !ok {
						want = portcullis.ErrUnavailable
					}
					if n := attacked(t, target, attack, patience, want); n > target.calls || n == 0 {
						t.Errorf("%d requests, want 1 to %d", n, target.calls)
					}
				})
			}
		})
	}
}

// I2: nobody waits longer than the timeout.
func TestI2Lulls(t *testing.T) {
	for _, target := range targets {
		for name, attack := range lulls {
			t.Run(target.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				attacked(t, target, attack, 100*time.Millisecond, portcullis.ErrUnavailable)
			})
		}
	}
}

// I2: neither tokens nor credentials go to another host.
func TestI2RedirectToAnotherHost(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			t.Error("the redirect was followed")
			_ = c.Close()
		}
	}()
	for _, target := range targets {
		for _, status := range []string{"301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
			t.Run(target.name+"/"+status, func(t *testing.T) {
				attacked(t, target, with(status, "Location: http://"+other.Addr().String()+"/"), patience, portcullis.ErrUnavailable)
			})
		}
	}
	_ = other.Close()
	<-done
}
