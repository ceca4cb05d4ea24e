package interop

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// nodeBackend is examples/node-ws: a chat with npm ws.
type nodeBackend struct {
	url string

	mu   sync.Mutex
	ends []socketEnd // as it saw them
}

// A socketEnd says how a socket ended, for npm ws.
type socketEnd struct {
	User   string
	Code   int
	Reason string

	at time.Time
}

func startNodeBackend(t *testing.T) *nodeBackend {
	t.Helper()
	preload, err := filepath.Abs("node-ws/closes.mjs")
	if err != nil {
		t.Fatal(err)
	}
	node, err := startProgram("../examples/node-ws", []string{"PORT=0"}, "--import", (&url.URL{Scheme: "file", Path: preload}).String(), "server.js")
	if err != nil {
		t.Fatalf("this test needs Node; run make setup: %v", err)
	}
	lines := node.lines
	ready := lines.Scan()
	b := &nodeBackend{url: "http://" + strings.TrimPrefix(lines.Text(), "listening on ")}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			end := socketEnd{at: time.Now()}
			if err := json.Unmarshal(lines.Bytes(), &end); err != nil {
				t.Errorf("node says %q", lines.Bytes())
			}
			b.mu.Lock()
			b.ends = append(b.ends, end)
			b.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = node.Process.Signal(syscall.SIGTERM)
		<-read
		if err := node.ended(); err != nil {
			t.Errorf("this test needs the packages of examples/node-ws; run make setup: %v", err)
		}
	})
	if !ready {
		t.FailNow()
	}
	return b
}

// wantEnds waits for the ends of so many sockets, and says when they were. They
// may come in any order, but no others.
func (b *nodeBackend) wantEnds(t testing.TB, want ...socketEnd) (at []time.Time) {
	t.Helper()
	var got []socketEnd
	eventually(t, fmt.Sprintf("%d ends at the backend", len(want)), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		got = slices.Clone(b.ends)
		return len(got) >= len(want)
	})
	byUser := cmpopts.SortSlices(func(a, b socketEnd) bool { return a.User < b.User })
	if diff := cmp.Diff(want, got, byUser, cmpopts.IgnoreUnexported(socketEnd{})); diff != "" {
		t.Errorf("ends at the backend (-want +got):\n%s", diff)
	}
	for _, end := range got {
		at = append(at, end.at)
	}
	return at
}

// A chatter has a socket of the chat.
type chatter struct {
	testing.TB
	*websocket.Conn
	user string
}

// join opens a socket through the gateway, and says something.
func join(t testing.TB, gateway, token, user string) *chatter {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), gateway+"/wsapi/?token="+url.QueryEscape(token), nil)
	if err != nil {
		t.Fatalf("no socket for %s: %v", user, err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	joined := &chatter{t, c, user}
	joined.say("hello")
	return joined
}

// say sends a message, and waits until everybody hears it, under the name that
// the gateway vouches for.
func (c *chatter) say(text string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	text += " " + rand.Text() // others may say the same
	message := fmt.Sprintf(`{"name":"mallory","text":%q}`, text)
	if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.Fatalf("%s: %v", c.user, err)
	}
	for {
		_, raw, err := c.Read(ctx)
		if err != nil {
			c.Fatalf("%s, waiting for %q: %v", c.user, text, err)
		}
		var event struct{ Type, Name, Text string }
		if err := json.Unmarshal(raw, &event); err != nil {
			c.Fatal(err)
		}
		if event.Type == "message" && event.Text == text {
			if event.Name != c.user {
				c.Errorf("%q comes from %q, want %q", text, event.Name, c.user)
			}
			return
		}
	}
}

// wantClose waits for the socket's end, and says when it was.
func (c *chatter) wantClose(code websocket.StatusCode, reason string) time.Time {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	for {
		_, _, err := c.Read(ctx)
		if err == nil {
			continue
		}
		end, want := (websocket.CloseError{}), websocket.CloseError{Code: code, Reason: reason}
		if !errors.As(err, &end) || end != want {
			c.Errorf("%s: %v, want %v", c.user, err, want)
		}
		return time.Now()
	}
}
