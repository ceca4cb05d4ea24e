package rawtest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// The beginnings of requests.
const (
	host     = "Host: a.example.com\r\n"
	get      = "GET /public/ HTTP/1.1\r\n" + host
	post     = "POST /public/ HTTP/1.1\r\n" + host
	guarded  = "POST / HTTP/1.1\r\n" + host
	chunked  = "Transfer-Encoding: chunked\r\n"
	smuggled = "GET /public/smuggled HTTP/1.1\r\nHost: smuggled.example.com\r\n\r\n"
)

// suites are the rows of all tables: the seeds of FuzzWire.
var suites = [][]row{framing, bodies, lines, targets, heads, handshakes}

// P1, W4: where two readers could see the end of a request in different places,
// the gateway sees what the strict reader sees, or nothing.
var framing = []row{
	{"length", post + "Content-Length: 5\r\n\r\nhello", "299 299", "POST /public/ hello"},
	{"chunks", post + chunked + "\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "299", "POST /public/ hello!"},
	{"a body for GET", get + "Content-Length: 5\r\n\r\nhello", "299 299", "GET /public/ hello"},
	{"pipelined", get + "\r\n" + post + "Content-Length: 1\r\n\r\nx" + get + "\r\n", "299 299 299 299", "GET /public/\nPOST /public/ x\nGET /public/"},
	{"no body declared", post + "\r\n" + smuggled, "299 299 299", "POST /public/\nGET /public/smuggled"},
	{"length zero, then another request", post + "Content-Length: 0\r\n\r\n" + smuggled, "299 299 299", "POST /public/\nGET /public/smuggled"},

	// CL.TE, TE.CL: net/http goes by the chunks and drops the length, so that nothing
	// may follow any chunks: somebody in front may have gone by the length.
	{"CL.TE", post + "Content-Length: 6\r\n" + chunked + "\r\n0\r\n\r\n" + smuggled, "299", "POST /public/"},
	{"CL.TE, the length is that of all", post + "Content-Length: 96\r\n" + chunked + "\r\n5\r\nhello\r\n0\r\n\r\n", "299", "POST /public/ hello"},
	{"TE.CL", post + chunked + "Content-Length: 4\r\n\r\n3d\r\n" + smuggled + "\r\n0\r\n\r\n", "299", "POST /public/ " + smuggled},
	{"TE and a length that is none", post + chunked + "Content-Length: x\r\n\r\n0\r\n\r\n", "400", ""},
	{"TE and two lengths", post + chunked + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", "400", ""},

	// TE.TE: what isn't plainly chunked isn't read at all.
	{"TE.TE, two lines", post + chunked + chunked + "\r\n0\r\n\r\n" + smuggled, "501", ""},
	{"TE.TE, identity first", post + "Transfer-Encoding: identity\r\n" + chunked + "\r\n0\r\n\r\n" + smuggled, "501", ""},
	{"TE.TE, list", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled, "501", ""},
	{"TE.TE, chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + smuggled, "501", ""},
	{"TE gzip", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + smuggled, "501", ""},
	{"TE identity", post + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello" + smuggled, "501", ""},
	{"TE empty", post + "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello" + smuggled, "501", ""},
	{"TE quoted", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + smuggled, "501", ""},
	{"TE with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" + smuggled, "501", ""},
	{"TE with a vertical tab", post + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"TE in capitals", post + "TRANSFER-ENCODING: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n", "299", "POST /public/ x"},
	{"TE behind a tab", post + "Transfer-Encoding:\tchunked \r\n\r\n1\r\nx\r\n0\r\n\r\n", "299", "POST /public/ x"},
	{"TE folded", post + "Transfer-Encoding:\r\n chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + smuggled, "299", "POST /public/ x"},
	{"TE behind a fold", post + "X-A: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", "299 299", "POST /public/ hello"},
	{"TE with a space before the colon", post + "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello", "400", ""},
	{"TE with an underscore", post + "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", "299 299", "POST /public/ hello"},
	{"TE in a fold of another field", post + "X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", "299 299", "POST /public/ hello"},
	{"TE behind a bare CR", post + "X-A: a\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", "400", ""},
	{"TE behind a bare LF", post + "X-A: a\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "299", "POST /public/ x"},
	{"TE behind a NUL", post + "X-A: a\x00\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", ""},

	{"lengths that agree", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "299 299", "POST /public/ hello"},
	{"lengths that don't", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400", ""},
	{"a list of lengths", post + "Content-Length: 5, 5\r\n\r\nhello", "400", ""},
	{"a length with a sign", post + "Content-Length: +5\r\n\r\nhello", "400", ""},
	{"a negative length", post + "Content-Length: -5\r\n\r\nhello", "400", ""},
	{"a length in hex", post + "Content-Length: 0x5\r\n\r\nhello", "400", ""},
	{"a length with an underscore", post + "Content-Length: 1_0\r\n\r\nhello", "400", ""},
	{"a length with a fraction", post + "Content-Length: 5.0\r\n\r\nhello", "400", ""},
	{"an empty length", post + "Content-Length:\r\n\r\nhello", "400", ""},
	{"a length of 2^63", post + "Content-Length: 9223372036854775808\r\n\r\nhello", "400", ""},
	{"a length of 2^64+5", post + "Content-Length: 18446744073709551621\r\n\r\nhello", "400", ""},
	{"a length with zeros", post + "Content-Length: 005\r\n\r\nhello", "299 299", "POST /public/ hello"},
	{"a folded length", post + "Content-Length: 5\r\n 0\r\n\r\nhello", "400", ""},

	{"empty lines behind a POST", post + "Content-Length: 1\r\n\r\nx\r\n\r\n" + smuggled, "299 299 299", "POST /public/ x\nGET /public/smuggled"},
	{"more empty lines behind a POST", post + "Content-Length: 1\r\n\r\nx\r\n\r\n\r\n" + smuggled, "299 400", "POST /public/ x"},
	{"an empty line first", "\r\n" + get + "\r\n", "400", ""},
	{"a longer body than declared", post + "Content-Length: 1\r\n\r\nx(GET", "299 400", "POST /public/ x"},
	{"HTTP/1.0 in chunks", "POST /public/ HTTP/1.0\r\n" + host + chunked + "\r\n1\r\nx\r\n0\r\n\r\n", "299", "POST /public/"},
	{"HTTP/1.0 in chunks, alive", "POST /public/ HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n" + chunked + "\r\n" + smuggled, "299", "POST /public/"},
	{"HTTP/1.0 in chunks with a length", "POST /public/ HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nContent-Length: 5\r\n" + chunked + "\r\n0\r\n\r\n" + smuggled, "299", "POST /public/ 0\r\n\r\n"},
	{"HTTP/1.0, alive", "GET /public/ HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n" + smuggled, "299", "GET /public/"},
	{"HTTP/1.0", "GET /public/ HTTP/1.0\r\n" + host + "\r\n" + smuggled, "299", "GET /public/"},
}

// L1, W4: chunks are read as RFC 9112, section 7.1, says, and go on in our own
// framing. A request that turns out not to be one doesn't reach the backend
// whole, and nothing is read behind it.
var bodies = []row{
	{"extension", post + chunked + "\r\n5;a=b;c\r\nhello\r\n0;d\r\n\r\n", "299", "POST /public/ hello"},
	{"quoted extension", post + chunked + "\r\n5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "299", "POST /public/ hello"},
	{"extension with a CR", post + chunked + "\r\n5;a=\rb\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"extension that ends with LF", post + chunked + "\r\n5;\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"an endless extension", post + chunked + "\r\n5;" + strings.Repeat("a", 8<<10) + "\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"space behind the size", post + chunked + "\r\n5 \t\r\nhello\r\n0\r\n\r\n", "299", "POST /public/ hello"},
	{"space before the size", post + chunked + "\r\n 5\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"size that ends with LF", post + chunked + "\r\n5\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"last size that ends with LF", post + chunked + "\r\n5\r\nhello\r\n0\n\n" + smuggled, "400", ""},
	{"size that ends with CR", post + chunked + "\r\n5\rhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"no size", post + chunked + "\r\n\r\n" + smuggled, "400", ""},
	{"size with 0x", post + chunked + "\r\n0x5\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"size with a sign", post + chunked + "\r\n+5\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"negative size", post + chunked + "\r\n-1\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"size of 2^64", post + chunked + "\r\n10000000000000000\r\n" + smuggled, "400", ""},
	{"size of 2^64+5", post + chunked + "\r\n10000000000000005\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"size with zeros", post + chunked + "\r\n000005\r\nhello\r\n00\r\n\r\n", "299", "POST /public/ hello"},
	{"a chunk that is longer than it says", post + chunked + "\r\n4\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"a chunk that is shorter", post + chunked + "\r\n6\r\nhello\r\n0\r\n\r\n" + smuggled, "400", ""},
	{"a chunk that ends with LF", post + chunked + "\r\n5\r\nhello\n0\r\n\r\n" + smuggled, "400", ""},
	{"no chunk at all", post + chunked + "\r\n" + smuggled, "400", ""},
	{"the same behind a token", guarded + "Authorization: Bearer TOKEN\r\n" + chunked + "\r\n" + smuggled, "400", ""},
	{"the same, answered early", "POST " + early + " HTTP/1.1\r\n" + host + chunked + "\r\n" + smuggled, "299 or 400", ""},
	{"the same without a token", guarded + chunked + "\r\n" + smuggled, "401", ""},

	{"a trailer", post + chunked + "Trailer: X-Sum\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n", "299", "POST /public/ x"},
	{"a trailer that frames", post + chunked + "Trailer: Content-Length\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 7\r\n\r\n", "400", ""},
	{"trailers that frame, unannounced", post + chunked + "\r\n1\r\nx\r\n0\r\nContent-Length: 70\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, "299", "POST /public/ x"},
	{"trailers that end with LF LF", post + chunked + "\r\n1\r\nx\r\n0\r\nX-A: b\n\n" + smuggled, "299", "POST /public/ x"},
	{"a trailer with a NUL", post + chunked + "Trailer: X-Sum\r\n\r\n1\r\nx\r\n0\r\nX-Sum: \x00\r\n\r\n" + smuggled, "400", ""},
	{"a trailer with a CR", post + chunked + "Trailer: X-Sum\r\n\r\n1\r\nx\r\n0\r\nX-Sum: a\rX-B: c\r\n\r\n" + smuggled, "400", ""},
	{"a trailer without a colon", post + chunked + "\r\n1\r\nx\r\n0\r\nX-Sum\r\n\r\n" + smuggled, "400", ""},
	{"a request for a trailer", post + chunked + "\r\n1\r\nx\r\n0\r\n" + smuggled, "400", ""},
	{"a trailer's name with a space, announced", post + chunked + "Trailer: X Sum\r\n\r\n1\r\nx\r\n0\r\nX Sum: 1\r\n\r\n", "299", "POST /public/ x"},
	{"a trailer of 64 KiB", post + chunked + "\r\n1\r\nx\r\n0\r\nX-Sum: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "400", ""},
	{"an announcement without chunks", post + "Trailer: X-Sum\r\nContent-Length: 1\r\n\r\nx", "299 299", "POST /public/ x"},

	// The state of the connection behind a refusal.
	{"refused with a body", guarded + "Content-Length: 61\r\n\r\n" + smuggled, "401 299", ""},
	{"refused as it is, with a body", "POST /# HTTP/1.1\r\n" + host + "Content-Length: 61\r\n\r\n" + smuggled, "400", ""},
	{"refused as it is, with a body that doesn't come", "POST /# HTTP/1.1\r\n" + host + "Content-Length: 10000\r\n\r\n", "400", ""},
	{"refused with chunks", guarded + chunked + "\r\n3d\r\n" + smuggled + "\r\n0\r\n\r\n", "401", ""},
	{"refused with a large body", guarded + "Content-Length: 305000\r\n\r\n" + strings.Repeat(smuggled, 5000), "401", ""},
	{"answered early with a body", "POST " + early + " HTTP/1.1\r\n" + host + "Content-Length: 61\r\n\r\n" + smuggled, "299 299 or 299", ""},
	{"answered early with chunks", "POST " + early + " HTTP/1.1\r\n" + host + chunked + "\r\n3d\r\n" + smuggled + "\r\n0\r\n\r\n", "299", ""},
	{"answered early with a large body", "POST " + early + " HTTP/1.1\r\n" + host + "Content-Length: 305000\r\n\r\n" + strings.Repeat(smuggled, 5000), "299 299 or 299", ""},
	{"Expect", post + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx", "299 299", "POST /public/ x"},
	{"Expect with chunks", post + "Expect: 100-continue\r\n" + chunked + "\r\n1\r\nx\r\n0\r\n\r\n" + smuggled, "299", "POST /public/ x"},
	{"Expect, CL.TE", post + "Expect: 100-continue\r\nContent-Length: 6\r\n" + chunked + "\r\n0\r\n\r\n" + smuggled, "299", "POST /public/"},
	{"Expect, refused", guarded + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx", "401", ""},
	{"Expect something else", post + "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx", "417", ""},
}

func TestP1W4Framing(t *testing.T) { table(t, framing) }

func TestL1W4Bodies(t *testing.T) { table(t, bodies) }

// W4: what is answered before its body has come, by the backend or because there
// is none, doesn't make a request of what follows in the body's place.
func TestW4NothingIsReadBehindABrokenBody(t *testing.T) {
	h := open(t, twoRoutes+"  - {path: /dead/, backend: 'http://127.0.0.1:1', public: true}\n")
	for target, status := range map[string]int{early: reached, "/dead/": http.StatusBadGateway} {
		for name, rest := range map[string]string{
			"chunks that are none": smuggled,
			"a size of 2^64":       "10000000000000000\r\n" + smuggled,
			"a chunk too long":     "1\r\nx" + smuggled,
		} {
			t.Run(target+", "+name, func(t *testing.T) {
				nc := h.dial(t)
				_, _ = io.WriteString(nc, "POST "+target+" HTTP/1.1\r\n"+host+chunked+"\r\n")
				r := newReader(nc)
				if a, err := r.answer(http.MethodPost); err != nil || a.status != status {
					t.Fatalf("%+v, err %v; want %d", a, err, status)
				}
				_, _ = io.WriteString(nc, rest+last)
				for {
					a, err := r.answer(http.MethodGet)
					if err != nil {
						break
					}
					t.Errorf("then %d", a.status)
				}
				if asked, _ := h.backend.take(); len(asked) > 0 {
					t.Errorf("the backend was asked %q", asked[0].target)
				}
			})
		}
	}
}
