package demo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portcullis-auth/portcullis/dev/demo"
)

type event struct {
	Type, ID, Name, Subject, Way, Path, Text string
	Time                                     time.Time
	Here                                     []string
}

// client is a member of the chat, as it would come through the gateway.
type client struct {
	t    *testing.T
	conn *websocket.Conn
}

func join(t *testing.T, base, path string, h http.Header) *client {
	t.Helper()
	c := dial(t, base, path, h)
	for {
		if e := c.next(); e.Type == "welcome" {
			return c
		}
	}
}

func dial(t *testing.T, base, path string, h http.Header) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, base+path, &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Sec-WebSocket-Protocol"); got != "" {
		t.Errorf("got subprotocol %q, want none", got)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{t, conn}
}

func (c *client) next() event {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, data, err := c.conn.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		c.t.Fatalf("%v: %s", err, data)
	}
	return e
}

// until returns the next event of the kind.
func (c *client) until(kind string) event {
	c.t.Helper()
	for {
		if e := c.next(); e.Type == kind {
			return e
		}
	}
}

func (c *client) send(message string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

// closed reads until the socket ends and returns its Close.
func (c *client) closed() websocket.CloseError {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, _, err := c.conn.Read(ctx)
		if err == nil {
			continue
		}
		var e websocket.CloseError
		if code := websocket.CloseStatus(err); code == -1 {
			c.t.Fatalf("got %v, want a Close", err)
		}
		e.Code = websocket.CloseStatus(err)
		e.Reason = fmt.Sprint(err)
		return e
	}
}

func TestChatFromEveryWay(t *testing.T) {
	_, base := start(t, demo.Options{})
	bob := join(t, base, "/wsapi/", as("bob"))
	for _, tt := range []struct{ path, way string }{
		{"/wsapi/cookie/", "cookie"}, {"/wsapi/query/", "query"}, {"/wsapi/subprotocol/", "subprotocol"}, {"/wsapi/", ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			bob := &client{t, bob.conn}
			before := time.Now().Add(-time.Second)
			alice := dial(t, base, tt.path, as("alice"))
			in := alice.until("welcome")
			if in.Name != "alice" || in.Subject != "u-alice" || in.Way != tt.way || !slices.Equal(in.Here, []string{"alice", "bob"}) {
				t.Errorf("got welcome %+v", in)
			}
			if got := bob.until("join"); got.Name != "alice" || got.Way != tt.way || got.Path != tt.path {
				t.Errorf("got join %+v", got)
			}
			alice.send(`{"text":"  hello <b>  "}`)
			for _, c := range []*client{alice, bob} {
				got := c.until("message")
				if got.Name != "alice" || got.Subject != "u-alice" || got.Text != "hello <b>" || got.Way != tt.way || got.Path != tt.path {
					t.Errorf("got message %+v", got)
				}
				if got.ID == "" || got.Time.Before(before) || got.Time.After(time.Now().Add(time.Second)) {
					t.Errorf("got ID %q, time %v", got.ID, got.Time)
				}
			}
			_ = alice.conn.Close(websocket.StatusNormalClosure, "")
			if got := bob.until("leave"); got.Name != "alice" || !slices.Equal(got.Here, []string{"bob"}) {
				t.Errorf("got leave %+v", got)
			}
		})
	}
}

// Who speaks is what the gateway said at the handshake, whatever the message says.
func TestNamesCannotBeSpoofed(t *testing.T) {
	_, base := start(t, demo.Options{})
	bob := join(t, base, "/wsapi/", as("bob"))
	mallory := join(t, base, "/wsapi/cookie/", as("mallory"))
	for _, m := range []string{
		`{"text":"1","name":"alice","subject":"u-alice","way":"query","path":"/","type":"welcome","id":"x","time":"2001-01-01T00:00:00Z"}`,
		`{"text":"1","Name":"alice","SUBJECT":"u-alice","user":{"name":"alice"},"X-Forwarded-User":"u-alice"}`,
		`{"name":"alice","text":"1","name":"alice"}`,
	} {
		mallory.send(m)
		got := bob.until("message")
		if got.Name != "mallory" || got.Subject != "u-mallory" || got.Way != "cookie" || got.Path != "/wsapi/cookie/" || got.ID == "x" || got.Time.Year() == 2001 {
			t.Errorf("%s: got %+v", m, got)
		}
	}
}

func TestReplay(t *testing.T) {
	_, base := start(t, demo.Options{})
	alice := join(t, base, "/wsapi/", as("alice"))
	ids := make([]string, 25)
	for i := range ids {
		alice.send(fmt.Sprintf(`{"text":"%d"}`, i))
		ids[i] = alice.until("message").ID
	}
	bob := dial(t, base, "/wsapi/query/", as("bob"))
	for i := 5; i < 25; i++ {
		got := bob.next()
		if got.Type != "message" || got.Text != fmt.Sprint(i) || got.Name != "alice" || got.ID != ids[i] {
			t.Errorf("got %+v, want message %d", got, i)
		}
	}
	if got := bob.next(); got.Type != "welcome" {
		t.Errorf("got %+v, want the welcome", got)
	}
}

func TestBadMessages(t *testing.T) {
	_, base := start(t, demo.Options{})
	for _, tt := range []struct {
		name string
		kind websocket.MessageType
		data string
		code websocket.StatusCode
	}{
		{"too big", websocket.MessageText, `{"text":"` + strings.Repeat("x", 5000) + `"}`, websocket.StatusMessageTooBig},
		{"no JSON", websocket.MessageText, "hello", websocket.StatusInvalidFramePayloadData},
		{"no text", websocket.MessageText, `{"text":1}`, websocket.StatusInvalidFramePayloadData},
		{"binary", websocket.MessageBinary, `{"text":"x"}`, websocket.StatusInvalidFramePayloadData},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := join(t, base, "/wsapi/", as("alice"))
			if err := c.conn.Write(t.Context(), tt.kind, []byte(tt.data)); err != nil {
				t.Fatal(err)
			}
			if got := c.closed(); got.Code != tt.code {
				t.Errorf("got code %d, want %d", got.Code, tt.code)
			}
		})
	}
}

func TestEmptyTextIsNotPassedOn(t *testing.T) {
	_, base := start(t, demo.Options{})
	c := join(t, base, "/wsapi/", as("alice"))
	c.send(`{"text":"  "}`)
	c.send(`{}`)
	c.send(`{"text":"last"}`)
	if got := c.until("message"); got.Text != "last" {
		t.Errorf("got %+v", got)
	}
}

// One who doesn't read is dropped; the others don't wait for them.
func TestSlowReaderIsDropped(t *testing.T) {
	_, base := start(t, demo.Options{})
	slow := join(t, base, "/wsapi/", as("slow"))
	alice := join(t, base, "/wsapi/", as("alice"))
	message := `{"text":"` + strings.Repeat("x", 4000) + `"}`
	for range 20_000 {
		alice.send(message)
		for {
			e := alice.next()
			if e.Type == "leave" && e.Name == "slow" {
				_ = slow.conn.CloseNow()
				return
			}
			if e.Type == "message" {
				break
			}
		}
	}
	t.Error("80 MB later the slow reader is still there")
}

func TestCloseEndsEverySocket(t *testing.T) {
	s, base := start(t, demo.Options{})
	clients := make([]*client, 5)
	for i := range clients {
		clients[i] = join(t, base, "/wsapi/", as(fmt.Sprintf("u%d", i)))
	}
	mute := join(t, base, "/wsapi/", as("mute")) // never answers the Close
	var wg sync.WaitGroup
	for range 2 { // may be called twice, also at once
		wg.Go(func() { _ = s.Close() })
	}
	for _, c := range clients {
		if got := c.closed(); got.Code != websocket.StatusServiceRestart || !strings.Contains(got.Reason, "shutdown") {
			t.Errorf("got %+v, want 1012 shutdown", got)
		}
	}
	wg.Wait()
	_ = mute.conn.CloseNow()

	late := dial(t, base, "/wsapi/", as("late"))
	if got := late.closed(); got.Code != websocket.StatusServiceRestart {
		t.Errorf("got %+v for one who came after Close, want 1012", got)
	}
}

// Members that talk at once each hear everything under the right names. Nobody
// says the next thing before hearing the last, so that no queue runs over.
func TestManyTalkAtOnce(t *testing.T) {
	_, base := start(t, demo.Options{})
	const n, each = 8, 20
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = join(t, base, "/wsapi/", as(fmt.Sprintf("u%d", i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	talk := func(c *client, self string) error {
		say := func() error {
			return c.conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"text":%q}`, self))
		}
		if err := say(); err != nil {
			return err
		}
		own := 1
		for got := 0; got < n*each; {
			_, data, err := c.conn.Read(ctx)
			if err != nil {
				return err
			}
			var e event
			if err := json.Unmarshal(data, &e); err != nil {
				return err
			}
			if e.Type != "message" {
				continue
			}
			if got++; e.Name != e.Text {
				return fmt.Errorf("%s said what %s said", e.Name, e.Text)
			}
			if e.Name == self && own < each {
				own++
				if err := say(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			if err := talk(c, fmt.Sprintf("u%d", i)); err != nil {
				t.Errorf("member %d: %v", i, err)
				cancel()
			}
		})
	}
	wg.Wait()
}
