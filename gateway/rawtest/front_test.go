package rawtest_test

import (
	"strings"
	"testing"
)

// P1: lines are read as RFC 9112, section 2.2 and 5, say; what they hold beside
// goes on in one form only.
var lines = []row{
	{"lines end with LF", strings.ReplaceAll(get+"X-A: b\r\n\r\n", "\r\n", "\n"), "299 299", "GET /public/"},
	{"the request line ends with LF", "GET /public/ HTTP/1.1\n" + host + "\r\n", "299 299", "GET /public/"},
	{"LF LF in the head", get + "X-A: b\n\n" + smuggled, "299 299 299", "GET /public/\nGET /public/smuggled"},
	{"CR in a value", get + "X-A: b\rX-Forwarded-User: root\r\n\r\n", "400", ""},
	{"CR CR LF", get + "X-A: b\r\r\n\r\n", "400", ""},
	{"CR in the request line", "GET /public/\rx HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"CR behind the version", "GET /public/ HTTP/1.1\r\r\n" + host + "\r\n", "400", ""},
	{"NUL in a value", get + "X-A: \x00\r\n\r\n", "400", ""},
	{"NUL in a name", get + "X\x00A: b\r\n\r\n", "400", ""},
	{"DEL in a value", get + "X-A: \x7f\r\n\r\n", "400", ""},
	{"escape in a value", get + "X-A: \x1b[2J\r\n\r\n", "400", ""},
	{"bytes of Latin-1 in a value", get + "X-A: \xe9\r\n\r\n", "299 299", "GET /public/"},
	{"folded", get + "X-A: b\r\n\tc\r\n d\r\n\r\n", "299 299", "GET /public/"},
	{"folded with another field", get + "X-A: b\r\n X-Forwarded-User: root\r\n\r\n", "299 299", "GET /public/"},
	{"folded to nothing", get + "X-A:\r\n \r\n\r\n", "299 299", "GET /public/"},
	{"first line folded", "GET /public/ HTTP/1.1\r\n " + host + "\r\n", "400", ""},
	{"Host folded", "GET /public/ HTTP/1.1\r\nHost: a.example.com\r\n .evil.example.com\r\n\r\n", "400", ""},
	{"space before a colon", get + "X-A : b\r\n\r\n", "400", ""},
	{"tab before a colon", get + "X-A\t: b\r\n\r\n", "400", ""},
	{"space in a name", get + "X A: b\r\n\r\n", "400", ""},
	{"no colon", get + "X-A\r\n\r\n", "400", ""},
	{"no name", get + ": b\r\n\r\n", "400", ""},
	{"brackets in a name", get + "X(A): b\r\n\r\n", "400", ""},
	{"Latin-1 in a name", get + "X-\xe9: b\r\n\r\n", "400", ""},
	{"no value", get + "X-A:\r\nX-B: \t \r\n\r\n", "299 299", "GET /public/"},
	{"a colon in a value", get + "X-A: b:c :d\r\n\r\n", "299 299", "GET /public/"},

	{"HTTP/0.9", "GET /public/\r\n\r\n", "400", ""},
	{"HTTP/0.9 by number", "GET /public/ HTTP/0.9\r\n" + host + "\r\n", "505", ""},
	{"HTTP/1.10", "GET /public/ HTTP/1.10\r\n" + host + "\r\n", "400", ""},
	{"HTTP/1.2", "GET /public/ HTTP/1.2\r\n" + host + "\r\n", "299 299", "GET /public/"},
	{"HTTP/2.0", "GET /public/ HTTP/2.0\r\n" + host + "\r\n", "505", ""},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "400", ""},
	{"version in lower case", "GET /public/ http/1.1\r\n" + host + "\r\n", "400", ""},
	{"another protocol", "GET /public/ RTSP/1.0\r\n" + host + "\r\n", "400", ""},
	{"TLS", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", "400", ""},
	{"nothing but NUL", strings.Repeat("\x00", 64) + "\r\n\r\n", "400", ""},
	{"two spaces", "GET  /public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"a space more", "GET /public/ HTTP/1.1 \r\n" + host + "\r\n", "400", ""},
	{"tabs for spaces", "GET\t/public/\tHTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"a space first", " GET /public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"no method", " /public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"a method that isn't a token", "G(T /public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"a method in lower case", "get /public/ HTTP/1.1\r\n" + host + "\r\n", "299 299", "get /public/"},
	{"a method of one's own", "BREW /public/ HTTP/1.1\r\n" + host + "\r\n", "299 299", "BREW /public/"},
	{"TRACE", "TRACE /public/ HTTP/1.1\r\n" + host + "\r\n", "299 299", "TRACE /public/"},

	{"64 KiB of a target", "GET /public/" + strings.Repeat("a", 70<<10) + " HTTP/1.1\r\n" + host + "\r\n", "431", ""},
	{"64 KiB of a value", get + "X-A: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", "431", ""},
	{"64 KiB of fields", get + strings.Repeat("X-A: b\r\n", 10<<10) + "\r\n", "431", ""},
	{"64 KiB of folds", get + "X-A: b\r\n" + strings.Repeat(" a\r\n", 18<<10) + "\r\n", "431", ""},
	{"64 KiB of a method", strings.Repeat("A", 70<<10) + " /public/ HTTP/1.1\r\n" + host + "\r\n", "431", ""},
	{"60 KiB of a value", get + "X-A: " + strings.Repeat("a", 60<<10) + "\r\n\r\n", "299 299", "GET /public/"},
}

// P1, D4: forms of the target (RFC 9112, section 3.2) and of the Host beside
// those of the gateway's own tests, with their effect on the connection.
var targets = []row{
	{"absolute, other host", "GET http://b.example.com/public/ HTTP/1.1\r\n" + host + "\r\n" + smuggled, "400", ""},
	{"absolute, https", "GET https://a.example.com/public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"absolute, no path", "GET http://a.example.com HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"absolute, without Host", "GET http://a.example.com/public/ HTTP/1.1\r\n\r\n", "400", ""},
	{"absolute, of a socket", "GET ws://a.example.com/public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"absolute, with a user", "GET http://u:p@a.example.com/public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"authority", "CONNECT a.example.com:443 HTTP/1.1\r\n" + host + "\r\n" + smuggled, "400", ""},
	{"authority without Host", "CONNECT a.example.com:443 HTTP/1.1\r\n\r\n", "400", ""},
	{"authority of another method", "GET a.example.com:443 HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"CONNECT to a path", "CONNECT /public/ HTTP/1.1\r\n" + host + "\r\n" + smuggled, "400", ""},
	{"asterisk", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n" + smuggled, "400", ""},
	{"asterisk of another method", "GET * HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"two slashes first", "GET //b.example.com/public/ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"backslashes first", "GET \\\\b.example.com\\public\\ HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"dot", "GET /public/./x HTTP/1.1\r\n" + host + "\r\n" + smuggled, "400", ""},
	{"encoded twice", "GET /public/%252e%252e/x HTTP/1.1\r\n" + host + "\r\n", "299 299", "GET /public/%252e%252e/x"},
	{"overlong UTF-8 dots", "GET /public/%c0%ae%c0%ae/x HTTP/1.1\r\n" + host + "\r\n", "299 299", "GET /public/%c0%ae%c0%ae/x"},
	{"parameters", "GET /public/..;/x HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"semicolon in the query", "GET /public/?a;token=x HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"raw NUL", "GET /public/\x00 HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"encoded line break", "GET /public/%0d%0aX-A:b HTTP/1.1\r\n" + host + "\r\n", "299 299", "GET /public/%0d%0aX-A:b"},
	{"encoded percent that isn't", "GET /public/%2 HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"other bytes of %u", "GET /public/%u002e%u002e/x HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"letters in another case", "GET /PUBLIC/ HTTP/1.1\r\n" + host + "\r\n", "401 299", ""},
	{"encoded letters", "GET /%70ublic/ HTTP/1.1\r\n" + host + "\r\n", "299 299", "GET /%70ublic/"},
	{"a space", "GET /public/ x HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"an empty query", "GET /public/? HTTP/1.1\r\n" + host + "\r\n", "299 299", "GET /public/?"},
	{"a target in the query", "GET /public/?http://b.example.com/../%2e%2e//#%00 HTTP/1.1\r\n" + host + "\r\n", "400", ""},
	{"two Hosts that agree", get + host + "\r\n", "400", ""},
	{"two Hosts", get + "Host: b.example.com\r\n\r\n" + smuggled, "400", ""},
	{"Host and its alias", get + "HOST: b.example.com\r\n\r\n", "400", ""},
	{"a list of Hosts", "GET /public/ HTTP/1.1\r\nHost: a.example.com, b.example.com\r\n\r\n", "400", ""},
	{"Host with a path", "GET /public/ HTTP/1.1\r\nHost: a.example.com/x\r\n\r\n", "400", ""},
	{"Host with a user", "GET /public/ HTTP/1.1\r\nHost: a.example.com:80%40b.example.com\r\n\r\n", "400", ""},
	{"Host with a tab in it", "GET /public/ HTTP/1.1\r\nHost: a.example.com\tb\r\n\r\n", "400", ""},
	{"Host between spaces", "GET /public/ HTTP/1.1\r\nHost: \t a.example.com \t\r\n\r\n", "299 299", "GET /public/"},
	{"the gateway's own, misspelt", "GET /.portcullis%2fsession HTTP/1.1\r\n" + host + "\r\n", "400", ""},
}

func TestP1Lines(t *testing.T) { table(t, lines) }

func TestP1D4Targets(t *testing.T) { table(t, targets) }
