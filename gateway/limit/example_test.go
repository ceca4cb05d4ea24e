package limit_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/limit"
)

func Example() {
	node := limit.New(limit.Limits{Sockets: 20_000, HandshakesPerAddress: limit.Rate{PerSecond: 10}}, nil)
	route := limit.New(limit.Limits{SocketsPerUser: 1, Messages: limit.Rate{PerSecond: 50, Burst: 2}}, node)

	from := netip.MustParseAddr("192.0.2.1")
	if err := route.Handshake(from); err != nil {
		fmt.Println(err) // 429, and the token is not looked at
		return
	}
	alice := &portcullis.Identity{Issuer: "https://id.example.com", Subject: "alice"} // says the token system
	socket, err := route.Socket(alice, from)
	if err != nil {
		fmt.Println(err) // 429
		return
	}
	defer socket.Close()

	for i := range 3 {
		fmt.Println("message", i, socket.Message())
	}

	_, err = route.Socket(alice, from)
	var exceeded *limit.Exceeded
	fmt.Println(errors.As(err, &exceeded) && exceeded.What == "sockets_per_user")
	// Output:
	// message 0 <nil>
	// message 1 <nil>
	// message 2 limit exceeded: messages
	// true
}

func ExampleLimiter_Request() {
	limiter := limit.New(limit.Limits{
		RequestsPerAddress: limit.Rate{PerSecond: 0.5, Burst: 1},
		RequestsPerUser:    limit.Rate{PerSecond: 100},
	}, nil)
	from := netip.MustParseAddr("2001:db8::1")
	fmt.Println(limiter.Request(from))
	// The token system says whose token it is. Then:
	fmt.Println(limiter.UserRequest(&portcullis.Identity{Subject: "alice"}))

	neighbour := netip.MustParseAddr("2001:db8::2")
	fmt.Println(limiter.Request(neighbour))
	// Output:
	// <nil>
	// <nil>
	// limit exceeded: requests_per_address
}
