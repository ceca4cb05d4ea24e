package rawtest_test

import "testing"

const bearer = "Authorization: Bearer TOKEN\r\n"

// heads: D1, D2, D4, and promise 5. What isn't in the rows is in check: the
// backend gets the client's fields and ours, and nothing that could be taken for
// ours (D1), or that came from the client as if from a proxy (D2), or the token.
var heads = []row{
	{"bearer", "GET /x HTTP/1.1\r\n" + host + bearer + "\r\n", "299 299", "GET /x"},
	{"cookie", "GET /x HTTP/1.1\r\n" + host + "Cookie: a=1; session=TOKEN; b=2\r\n\r\n", "299 299", "GET /x"},
	{"query", "GET /x?a=1&token=TOKEN&b=%20 HTTP/1.1\r\n" + host + "\r\n", "299 299", "GET /x?a=1&b=%20"},
	{"no token", "GET /x HTTP/1.1\r\n" + host + "\r\n", "401 299", ""},
	{"a bad token", "GET /x HTTP/1.1\r\n" + host + "Authorization: Bearer other\r\n\r\n", "401 299", ""},
	{"two bearers", "GET /x HTTP/1.1\r\n" + host + bearer + bearer + "\r\n", "401 299", ""},
	{"a good one and a bad one", "GET /x HTTP/1.1\r\n" + host + bearer + "Authorization: Bearer other\r\n\r\n", "401 299", ""},
	{"bearer folded", "GET /x HTTP/1.1\r\n" + host + "Authorization: Bearer\r\n TOKEN\r\n\r\n", "299 299", "GET /x"},
	{"two cookies that differ", "GET /x HTTP/1.1\r\n" + host + "Cookie: session=TOKEN; session=other\r\n\r\n", "401 299", ""},
	{"two cookies that differ, in two lines", "GET /x HTTP/1.1\r\n" + host + "Cookie: session=TOKEN\r\nCookie: session=other\r\n\r\n", "401 299", ""},
	{"two cookies that agree", "GET /x HTTP/1.1\r\n" + host + "Cookie: session=TOKEN; session=TOKEN\r\n\r\n", "299 299", "GET /x"},
	{"a quoted cookie", "GET /x HTTP/1.1\r\n" + host + "Cookie: session=\"TOKEN\"\r\n\r\n", "299 299", "GET /x"},
	{"half a quoted cookie", "GET /x HTTP/1.1\r\n" + host + "Cookie: session=\"TOKEN\r\n\r\n", "401 299", ""},
	{"a cookie in another case", "GET /x HTTP/1.1\r\n" + host + "Cookie: Session=TOKEN; a=session\r\n\r\n", "401 299", ""},
	{"a cookie inside of a quoted one", "GET /x HTTP/1.1\r\n" + host + "Cookie: a=\"; session=other; b=\"; session=TOKEN\r\n\r\n", "401 299", ""},
	{"cookies between commas", "GET /x HTTP/1.1\r\n" + host + "Cookie: a=1, session=TOKEN\r\n\r\n", "401 299", ""},
	{"a misspelt Authorization", "GET /x HTTP/1.1\r\n" + host + "Authorization : Bearer TOKEN\r\n\r\n", "400", ""},
	{"an alias of Authorization", "GET /x HTTP/1.1\r\n" + host + "Proxy-Authorization: Bearer TOKEN\r\n\r\n", "401 299", ""},
	{"Connection lists the token's header", "GET /x HTTP/1.1\r\n" + host + bearer + "Connection: Authorization\r\n\r\n", "401 299", ""},

	{"identity", get + "X-Forwarded-User: root\r\n\r\n", "299 299", "GET /public/"},
	{"identity with a token", "GET /x HTTP/1.1\r\n" + host + bearer + "X-Forwarded-User: root\r\nx-forwarded-user: root\r\nX-Forwarded-Groups: admin\r\n\r\n", "299 299", "GET /x"},
	{"identity, aliases", get + "X_Forwarded_User: root\r\nx.forwarded.user: root\r\nX-FORWARDED_USER: root\r\nX~Portcullis~Userinfo: {}\r\n\r\n", "299 299", "GET /public/"},
	{"identity, folded", get + "X-A: b\r\n X-Forwarded-User: root\r\nX-Forwarded-User:\r\n root\r\n\r\n", "299 299", "GET /public/"},
	{"identity, listed by Connection", "GET /x HTTP/1.1\r\n" + host + bearer + "Connection: X-Forwarded-User, X-Portcullis-Userinfo, keep-alive\r\n\r\n", "299 299", "GET /x"},
	{"everything, listed by Connection", get + "Connection: Host, Content-Length, Transfer-Encoding, X-Forwarded-For\r\nX-A: b\r\n\r\n", "299 299", "GET /public/"},
	{"Content-Length, listed by Connection", post + "Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello" + smuggled, "299 299 299", "POST /public/ hello\nGET /public/smuggled"},
	{"Transfer-Encoding, listed by Connection", post + "Connection: Transfer-Encoding\r\n" + chunked + "\r\n5\r\nhello\r\n0\r\n\r\n" + smuggled, "299", "POST /public/ hello"},
	{"close, listed among others", get + "Connection: x, Close ,y\r\n\r\n" + smuggled, "299", "GET /public/"},
	{"proxies", get + "Forwarded: for=10.0.0.1;host=b\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: b\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 10.0.0.1\r\nX-Original-URL: /x\r\nX-Rewrite-URL: /x\r\n\r\n", "299 299", "GET /public/"},
	{"another method", post + "X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n", "400", ""},
	{"User-Agent of a health check", "GET /x HTTP/1.1\r\n" + host + "User-Agent: kube-probe/1.31\r\n\r\n", "401 299", ""},
	{"a health check's path", "GET /healthz HTTP/1.1\r\n" + host + "\r\n", "401 299", ""},
	{"a public path in a header", "GET /x HTTP/1.1\r\n" + host + "X-Original-URL: /public/\r\nX-Forwarded-Uri: /public/\r\n\r\n", "401 299", ""},
	{"HEAD", "HEAD /x HTTP/1.1\r\n" + host + "\r\n", "401 299", ""},
	{"OPTIONS", "OPTIONS /x HTTP/1.1\r\n" + host + "Origin: https://good.example.com\r\nAccess-Control-Request-Method: GET\r\n\r\n", "401 299", ""},
	{"Host of another spelling", "GET /x HTTP/1.1\r\nHost: LOCALHOST.:80\r\n\r\n", "401 299", ""},
	{"Pragma", get + "Pragma: no-cache\r\n\r\n", "299 299", "GET /public/"},
	{"Te", get + "Te: trailers, deflate\r\nConnection: te\r\n\r\n", "299 299", "GET /public/"},
	{"Keep-Alive", get + "Keep-Alive: 300\r\nProxy-Connection: close\r\n\r\n", "299 299", "GET /public/"},
}

func TestD1D2D4Heads(t *testing.T) { table(t, heads) }
