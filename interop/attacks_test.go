package interop

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

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

// attacks are those that end by themselves, or at the first look.
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
	"echo as status":        func(x *exchange) { x.say("HTTP/1.1 ", prize(x.request), "\r\n\r\n") },
	"echo as header":        func(x *exchange) { x.answer("500 No", prize(x.request)) },
	"echo as header name":   func(x *exchange) { x.answer("500 No", prize(x.request)+": x") },
	"echo as header value":  func(x *exchange) { x.answer("200 OK", "Content-Length: "+prize(x.request)) },
	"echo as type":          func(x *exchange) { x.media = prize(x.request); x.answer("200 OK") },
	"echo as coding":        func(x *exchange) { x.answer("200 OK", "Content-Encoding: x-"+prize(x.request)) },
	"echo as transfer":      func(x *exchange) { x.answer("200 OK", "Transfer-Encoding: "+prize(x.request)) },
	"echo as chunk":         func(x *exchange) { x.say(okHead, "Transfer-Encoding: chunked\r\n\r\n", prize(x.request)) },
	"echo as location":      func(x *exchange) { x.answer("302 Found", "Location: http://[::1]:99999/"+prize(x.request)) },
	"echo as body":          func(x *exchange) { x.good = x.request; x.answer("200 OK") },
	"echo as JSON":          func(x *exchange) { x.good = fmt.Sprintf("%q", prize(x.request)); x.answer("200 OK") },
	"echo as a JSON name":   func(x *exchange) { x.good = fmt.Sprintf(`{"zz":1,%q:1,"zz":1}`, prize(x.request)); x.answer("200 OK") },
	"echo behind bad JSON":  func(x *exchange) { x.good = `{"active":` + prize(x.request); x.answer("200 OK") },
	"echo as a JSON value":  func(x *exchange) { x.good = echoJSON(x); x.answer("200 OK") },
	"echo in a 4xx's words": func(x *exchange) { x.good = x.request; x.answer("400 " + prize(x.request)) },
}

// prize is the longest word of a request: the token, or our credentials.
func prize(request string) string {
	return slices.MaxFunc(strings.Fields(request), func(a, b string) int { return cmp.Compare(len(a), len(b)) })
}

func echoJSON(x *exchange) string {
	return fmt.Sprintf(`{"active":%[1]q,"sub":{%[1]q:1},"exp":%[1]q,"keys":%[1]q,"issuer":%[1]q,"jwks_uri":%[1]q,"introspection_endpoint":%[1]q}`, prize(x.request))
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
