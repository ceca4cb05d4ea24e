package listen_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"

	"github.com/portcullis-auth/portcullis/gateway/listen"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a version 2 header, with a length of its own.
func v2(command, family byte, body string) string {
	return signature + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

// addresses4 is 192.0.2.1:4660 to 192.0.2.2:80.
const addresses4 = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x00\x50"

var addresses6 = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 16) + "\x12\x34\x00\x50"

var headers = []struct {
	name, header string
	want         string // the address; "": the load balancer's; "cut"
}{
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\r\n", "192.0.2.1:4660"},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 4660 80\r\n", "[2001:db8::1]:4660"},
	{"v1 shortest", "PROXY UNKNOWN\r\n", ""},
	{"v1 UNKNOWN with more", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ""},
	{"v1 too long", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n", "cut"},
	{"v1 without an end", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", "cut"},
	{"v1 ends in LF", "PROXY TCP4 192.0.2.1 192.0.2.2 4660 80\n", "cut"},
	{"v1 of the wrong family", "PROXY TCP6 192.0.2.1 192.0.2.2 4660 80\r\n", "cut"},
	{"v1 with a port that is none", "PROXY TCP4 192.0.2.1 192.0.2.2 4660 65536\r\n", "cut"},
	{"v1 with a zone", "PROXY TCP6 fe80::1%lo fe80::2 4660 80\r\n", "cut"},
	{"v1 lower case", "proxy TCP4 192.0.2.1 192.0.2.2 4660 80\r\n", "cut"},
	{"v1 glued to the word", "PROXYjunk TCP4 192.0.2.1 192.0.2.2 4660 80\r\n", "cut"},
	{"v2 TCP4", v2(0x21, 0x11, addresses4), "192.0.2.1:4660"},
	{"v2 TCP6", v2(0x21, 0x21, addresses6), "[2001:db8::1]:4660"},
	{"v2 mapped", v2(0x21, 0x21, strings.Repeat("\x00", 10)+"\xff\xff\xc0\x00\x02\x01"+strings.Repeat("\x00", 16)+"\x12\x34\x00\x50"), "192.0.2.1:4660"},
	{"v2 with TLVs", v2(0x21, 0x11, addresses4+"\x04\x00\x03abc\xe0\x00\x00"), "192.0.2.1:4660"},
	{"v2 as long as may be", v2(0x21, 0x11, addresses4+strings.Repeat("x", 4096-12)), "192.0.2.1:4660"},
	{"v2 too long", v2(0x21, 0x11, addresses4+strings.Repeat("x", 4097-12)), "cut"},
	{"v2 LOCAL", v2(0x20, 0x00, ""), ""},
	{"v2 LOCAL with addresses", v2(0x20, 0x11, addresses4), ""},
	{"v2 too short for its addresses", v2(0x21, 0x11, addresses4[1:]), "cut"},
	{"v2 UDP", v2(0x21, 0x12, addresses4), "cut"},
	{"v2 Unix", v2(0x21, 0x31, strings.Repeat("/", 216)), "cut"},
	{"v2 PROXY of nobody", v2(0x21, 0x00, ""), "cut"},
	{"v2 of version 1", v2(0x11, 0x11, addresses4), "cut"},
	{"v2 unknown command", v2(0x22, 0x11, addresses4), "cut"},
	{"none", "", "cut"},
}

// A header states the client's address, and what isn't quite one cuts the
// connection before anything is read as a request.
func TestD2ProxyHeader(t *testing.T) {
	log := newLogbook()
	l := open(t, listen.Options{ProxyFrom: loopback, Log: log.log()})
	serve(t, l)
	for _, tt := range headers {
		t.Run(tt.name, func(t *testing.T) {
			nc := dial(t, l, "")
			want := tt.want
			if want == "" {
				want = nc.LocalAddr().String()
			}
			got := ask(t, nc, tt.header)
			if tt.want == "cut" {
				if strings.HasPrefix(got, "400") || strings.HasPrefix(got, "200") {
					t.Errorf("got %q, want nothing", got)
				}
			} else if got != "200 "+want+" HTTP/1.1" {
				t.Errorf("got %q, want it from %s", got, want)
			}
		})
	}
	log.await(t, 1, "connection cut: no valid PROXY header")
}

// What was sent in place of a header may hold a token.
func TestProxyHeaderErrorsQuoteNothing(t *testing.T) {
	for _, tt := range headers {
		_, err := listen.ReadHeader(strings.NewReader(tt.header))
		if (err != nil) != (tt.want == "cut") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			continue
		}
		switch err.Error() {
		case "no valid PROXY header", "no valid PROXY header: EOF", "no valid PROXY header: unexpected EOF":
		default:
			t.Errorf("%s: error %q", tt.name, err)
		}
	}
}

// From elsewhere a header is what a client may not send.
func TestD2ProxyHeaderFromElsewhere(t *testing.T) {
	for _, from := range [][]netip.Prefix{nil, {netip.MustParsePrefix("192.0.2.0/24")}} {
		l := open(t, listen.Options{ProxyFrom: from})
		serve(t, l)
		nc := dial(t, l, "")
		if got := ask(t, nc, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"); !strings.HasPrefix(got, "400") {
			t.Errorf("got %q, want 400", got)
		}
		nc = dial(t, l, "")
		if got, want := ask(t, nc, ""), "200 "+nc.LocalAddr().String()+" HTTP/1.1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What follows the header is left in the socket, for the kernel to move.
func TestProxyHeaderLeavesTheRest(t *testing.T) {
	l := open(t, listen.Options{ProxyFrom: loopback})
	conns := accepted(t, l)
	for _, tt := range headers {
		if tt.want == "cut" {
			continue
		}
		nc := dial(t, l, "")
		if _, err := io.WriteString(nc, tt.header+"the rest"); err != nil {
			t.Fatal(err)
		}
		c := next(t, conns)
		if got := c.RemoteAddr().String(); tt.want != "" && got != tt.want {
			t.Errorf("%s: from %s, want %s", tt.name, got, tt.want)
		}
		got := make([]byte, 100)
		n, err := c.(interface{ TCP() *net.TCPConn }).TCP().Read(got)
		if string(got[:n]) != "the rest" || err != nil {
			t.Errorf("%s: left %q, %v", tt.name, got[:n], err)
		}
		_ = c.Close()
	}
}

// io.Copy reads past Read; not past the header.
func TestProxyHeaderIsNotCopied(t *testing.T) {
	l := open(t, listen.Options{ProxyFrom: loopback})
	conns := accepted(t, l)
	for _, header := range []string{"PROXY UNKNOWN\r\n", "PROXY NONSENSE\r\n"} {
		nc := dial(t, l, "")
		if _, err := io.WriteString(nc, header+"the rest"); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).CloseWrite()
		c := next(t, conns)
		var got bytes.Buffer
		_, err := io.Copy(&got, c)
		if good := header == "PROXY UNKNOWN\r\n"; good && (got.String() != "the rest" || err != nil) || !good && (got.Len() > 0 || err == nil || !isCut(nc)) {
			t.Errorf("%q: copied %q, %v", header, &got, err)
		}
		_ = c.Close()
	}
}

// Who is to send a header and doesn't is cut in time, and holds up nobody.
func TestL1NoProxyHeader(t *testing.T) {
	t.Parallel()
	l := open(t, listen.Options{ProxyFrom: loopback, HeaderTime: soon})
	serve(t, l)
	kept := dial(t, l, "")
	if got := ask(t, kept, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"); got != "200 192.0.2.1:1 HTTP/1.1" {
		t.Fatalf("got %q", got)
	}
	wantCut(t, l, "", "P", "PROXY TCP4 192.0.2.1 ", signature, v2(0x21, 0x11, addresses4)[:20])
	if got := ask(t, kept, ""); got != "200 192.0.2.1:1 HTTP/1.1" { // whose time is long over
		t.Errorf("who sent a header got %q", got)
	}
}

// The header comes before TLS, and the handshake has what it leaves of the time.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	t.Parallel()
	l := open(t, listen.Options{ProxyFrom: loopback, HeaderTime: soon, Certificates: []listen.Certificate{newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir())}})
	serve(t, l)
	nc := dial(t, l, "")
	if _, err := io.WriteString(nc, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), ""); got != "200 192.0.2.1:1 HTTP/1.1" {
		t.Errorf("got %q", got)
	}
	nc = dial(t, l, "")
	if got := ask(t, tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), ""); strings.HasPrefix(got, "200") {
		t.Errorf("without a header got %q", got)
	}
	nc = dial(t, l, "")
	if _, err := io.WriteString(nc, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"); err != nil {
		t.Fatal(err)
	}
	if !isCut(nc) {
		t.Error("after the header: not cut")
	}
}

// Whatever is sent, no byte is taken beyond the header, and the address is the
// one that another reading of the same bytes finds.
func FuzzProxyHeader(f *testing.F) {
	for _, tt := range headers {
		f.Add([]byte(tt.header + "GET / HTTP/1.1\r\n\r\n"))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		in := bytes.NewReader(sent)
		got, err := listen.ReadHeader(in)
		taken := len(sent) - in.Len()
		if taken > 16+4096 {
			t.Fatalf("took %d bytes", taken)
		}
		all := bufio.NewReaderSize(bytes.NewReader(sent), len(sent)+16)
		h, err2 := proxyproto.Read(all)
		if err != nil {
			if err2 == nil && h.Command.IsProxy() && h.TransportProtocol != proxyproto.UNSPEC {
				if _, _, ok := h.TCPAddrs(); ok {
					t.Errorf("refused a header from %s: %v", h.SourceAddr, err)
				}
			}
			return
		}
		if err2 != nil {
			t.Fatalf("took for a header what is none: %v", err2)
		}
		if left := all.Buffered(); left != in.Len() {
			t.Errorf("left %d bytes, want %d", in.Len(), left)
		}
		if h.Command.IsLocal() != (got == nil) || got != nil && !got.IP.Equal(h.SourceAddr.(*net.TCPAddr).IP) {
			t.Errorf("got address %v of %v", got, h)
		}
		again, err := listen.ReadHeader(io.MultiReader(bytes.NewReader(sent[:taken]), broken{}))
		if err != nil || (again == nil) != (got == nil) || again != nil && again.String() != got.String() {
			t.Errorf("by itself the header is %v, %v; want %v", again, err, got)
		}
	})
}

// broken must not be read.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("read on") }
