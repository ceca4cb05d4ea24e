package listen_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/portcullis-auth/portcullis/gateway/listen"
)

// In the clear, behind load balancers of one network.
func Example() {
	l, err := listen.Open(context.Background(), listen.Options{
		Address:     "127.0.0.1:0",
		ProxyFrom:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Connections: 10_000,
		PerAddress:  100,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, "from", r.RemoteAddr)
	})}
	defer server.Close()
	go func() { _ = server.Serve(l) }() // until it is closed

	balancer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer balancer.Close()
	_, _ = fmt.Fprint(balancer, "PROXY TCP4 192.0.2.7 192.0.2.1 51000 80\r\nGET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
	_, _ = balancer.Read(make([]byte, 1)) // an answer
	// Output: GET from 192.0.2.7:51000
}

// With TLS, which an http.Server speaks; certificates come by themselves.
func ExampleListener_TLS() {
	l, err := listen.Open(context.Background(), listen.Options{
		Address: ":443",
		ACME: &listen.ACME{
			Domains:     []string{"app.example.com"},
			Directory:   "https://ca.example.com/directory",
			TermsAgreed: true,
			Storage:     "/var/lib/portcullis/acme",
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: l.TLS()}
	fmt.Println(server.ServeTLS(l, "", ""))
}
