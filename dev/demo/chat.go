package demo

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	maxMessage   = 4 << 10          // bytes of a client's message; more is answered with Close 1009
	maxQueue     = 256              // messages that may wait for one member; the next one drops it
	maxRecent    = 20               // messages replayed to who joins; less than maxQueue
	maxHere      = 50               // names told to who joins
	writeTimeout = 10 * time.Second // for one message to one member
	closeTimeout = time.Second      // for the Close handshake when the room closes
)

// errSlow says that a member does not read fast enough.
var errSlow = errors.New("demo: slow reader")

// event is what the chat tells its members, one JSON text message each.
type event struct {
	// Type is "welcome" (first after the replay, to the one who joined), "join",
	// "leave" (to the others) or "message" (to all).
	Type string `json:"type"`
	// ID names an event; a replayed message keeps its own.
	ID string `json:"id"`
	// Name and Subject are whom the gateway vouched for at the handshake.
	Name    string `json:"name"`
	Subject string `json:"subject"`
	// Way is the route that the socket came by: "cookie", "query",
	// "subprotocol", or "" for the plain one; Path is its path.
	Way  string    `json:"way"`
	Path string    `json:"path"`
	Text string    `json:"text,omitempty"`
	Time time.Time `json:"time"`
	// Here are the names of those in the room, sorted; not in a message.
	Here []string `json:"here,omitempty"`
}

// room is the chat. Members come by serve and leave when it returns.
type room struct {
	log   *slog.Logger
	start string // makes event IDs differ from those before a restart

	members sync.WaitGroup // in serve, after join

	mu     sync.Mutex // guards what follows
	here   map[*member]struct{}
	recent [][]byte
	last   uint64 // of the event IDs
	closed bool
}

// member is one socket in the room.
type member struct {
	user *user
	way  string
	path string
	conn *websocket.Conn
	out  chan []byte // never closed; whoever finds it full drops the member
	drop context.CancelCauseFunc
}

func newRoom(log *slog.Logger) *room {
	return &room{
		log:   log,
		start: strconv.FormatInt(time.Now().UnixMilli(), 36),
		here:  make(map[*member]struct{}),
	}
}

// serve upgrades the request and returns when the socket has ended.
func (rm *room) serve(w http.ResponseWriter, r *http.Request, u *user, way string) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		// The gateway checks the Origin, and Host here may be the gateway's name
		// for this backend. A browser that comes around the gateway has been
		// refused already: it cannot set the identity headers on a socket.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxMessage)

	ctx, drop := context.WithCancelCause(r.Context())
	m := &member{user: u, way: way, path: r.URL.Path, conn: conn, out: make(chan []byte, maxQueue), drop: drop}
	if !rm.join(m) {
		drop(nil)
		_ = conn.Close(websocket.StatusServiceRestart, "shutdown")
		return
	}
	defer rm.members.Done()

	var writer sync.WaitGroup
	writer.Go(func() {
		if err := m.write(ctx); err != nil {
			drop(err)
		}
	})
	err = rm.read(ctx, m)
	if errors.Is(context.Cause(ctx), errSlow) {
		rm.log.Warn("chat member dropped: it reads too slowly", "subject", u.subject)
	}
	drop(err)
	rm.leave(m)
	writer.Wait()
}

// read passes on what the member says until its socket ends. Only the text of a
// message counts; who says it is known since the handshake.
func (rm *room) read(ctx context.Context, m *member) error {
	for {
		kind, data, err := m.conn.Read(ctx)
		if err != nil {
			return err
		}
		var said struct {
			Text string `json:"text"`
		}
		if kind != websocket.MessageText || json.Unmarshal(data, &said) != nil {
			return m.conn.Close(websocket.StatusInvalidFramePayloadData, "bad_message")
		}
		if said.Text = strings.TrimSpace(said.Text); said.Text != "" {
			rm.say(m, said.Text)
		}
	}
}

// write sends what is queued until ctx ends.
func (m *member) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case data := <-m.out:
			one, cancel := context.WithTimeout(ctx, writeTimeout)
			err := m.conn.Write(one, websocket.MessageText, data)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

// join reports false if the room is closed.
func (rm *room) join(m *member) bool {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	if rm.closed {
		return false
	}
	rm.members.Add(1)
	rm.here[m] = struct{}{}
	for _, data := range rm.recent {
		m.send(data)
	}
	m.send(rm.encode(m, event{Type: "welcome", Here: rm.names()}))
	rm.tell(rm.encode(m, event{Type: "join", Here: rm.names()}), m)
	return true
}

func (rm *room) leave(m *member) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	delete(rm.here, m)
	rm.tell(rm.encode(m, event{Type: "leave", Here: rm.names()}), m)
}

func (rm *room) say(m *member, text string) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	data := rm.encode(m, event{Type: "message", Text: text})
	if len(rm.recent) == maxRecent {
		rm.recent = slices.Delete(rm.recent, 0, 1)
	}
	rm.recent = append(rm.recent, data)
	rm.tell(data, nil)
}

// tell queues data for all but one member. Called with mu held.
func (rm *room) tell(data []byte, but *member) {
	for m := range rm.here {
		if m != but {
			m.send(data)
		}
	}
}

// encode fills in who the event is about. Called with mu held.
func (rm *room) encode(m *member, e event) []byte {
	rm.last++
	e.ID = rm.start + "-" + strconv.FormatUint(rm.last, 36)
	e.Name, e.Subject, e.Way, e.Path = m.user.name, m.user.subject, m.way, m.path
	e.Time = time.Now().UTC().Round(time.Millisecond)
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and a time of this century always marshal
	}
	return data
}

// names returns who is here, each once. Called with mu held.
func (rm *room) names() []string {
	set := make(map[string]struct{}, len(rm.here))
	for m := range rm.here {
		set[m.user.name] = struct{}{}
	}
	names := slices.Sorted(maps.Keys(set))
	return names[:min(len(names), maxHere)]
}

// send queues data, or drops a member whose queue is full: neither the room nor
// its memory waits for a slow reader.
func (m *member) send(data []byte) {
	select {
	case m.out <- data:
	default:
		m.drop(errSlow)
	}
}

// close ends every member's socket and waits for them. It may be called again.
func (rm *room) close() {
	rm.mu.Lock()
	rm.closed = true
	here := slices.Collect(maps.Keys(rm.here))
	rm.mu.Unlock()
	var goodbyes sync.WaitGroup
	for _, m := range here {
		goodbyes.Go(func() {
			backstop := time.AfterFunc(closeTimeout, func() { m.drop(errors.New("demo: closed")) })
			defer backstop.Stop()
			_ = m.conn.Close(websocket.StatusServiceRestart, "shutdown")
		})
	}
	goodbyes.Wait()
	rm.members.Wait()
}
