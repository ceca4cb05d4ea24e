package relay_test

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// A handshake has been made with both sides; now their frames are moved.
func ExampleEngine_Start() {
	var engine relay.Engine // one for all sockets
	defer engine.Close()
	rules := &relay.Rules{ // one for all sockets of a route
		Grace:      time.Second,
		UTF8:       true,
		MaxMessage: 64 << 10,
		Ping:       30 * time.Second,
		Idle:       time.Hour,
	}

	serve := func(s *portcullis.Session, client, backend net.Conn, answer *http.Response) {
		engine.Start(s, relay.Side{Conn: client}, relay.Side{Conn: backend}, relay.Options{
			Rules:      rules,
			Extensions: answer.Header.Get("Sec-WebSocket-Extensions"),
		}, func(r relay.Result) {
			s.Close()
			log.Printf("socket over, code %d %s, %d messages, cause %v", r.Code, r.Reason, r.MessagesFromClient, r.Cause)
		})
	}
	_ = serve
}

// Messages that only some may send.
func ExampleJudge() {
	rules := relay.Rules{
		MaxMessage: 64 << 10,
		Judge: func(s *portcullis.Session, text bool, payload []byte) relay.Verdict {
			switch {
			case !text:
				return relay.End
			case bytes.HasPrefix(payload, []byte("/kick ")) && s.Identity().Subject != "admin":
				return relay.Drop
			}
			return relay.Pass
		},
	}
	fmt.Println(rules.Judge(nil, false, nil) == relay.End)
	// Output: true
}
