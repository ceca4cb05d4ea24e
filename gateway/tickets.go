package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// A ticket stands for a token for a short time and once: where a page can't
// send its token but in a URL, it sends this.
type ticket struct {
	Token   string    `json:"t"`
	Session string    `json:"s"` // the handle of the socket that it opens
	Origin  string    `json:"o"` // of the page; "": none
	Host    string    `json:"h"`
	Path    string    `json:"p"`
	Until   time.Time `json:"e"`
}

// tickets makes tickets and takes them back.
type tickets struct {
	lifetime time.Duration
	keys     *ticketKeys
	sources  []portcullis.TokenSource // where in a request a ticket may be

	mu      sync.Mutex // guards what follows
	used    map[string]time.Time
	pruned  time.Time
	sockets map[string]*portcullis.Session // by the handle that came with the ticket
}

// maxUsed bounds how many redeemed tickets are remembered. One takes about 100
// bytes.
const maxUsed = 200_000

func newTickets(lifetime time.Duration, keysDir string) (*tickets, error) {
	keys, err := newTicketKeys(keysDir)
	if err != nil {
		return nil, err
	}
	return &tickets{
		lifetime: lifetime, keys: keys,
		sources: []portcullis.TokenSource{portcullis.Query("ticket"), ticketProtocol},
		used:    make(map[string]time.Time),
		sockets: make(map[string]*portcullis.Session),
	}, nil
}

// issue returns a ticket for a socket at that place, and the handle that the
// socket will have.
func (t *tickets) issue(token, origin, host, path string, now time.Time) (sealed, session string, err error) {
	session = "t-" + rand.Text()
	plain, err := json.Marshal(ticket{Token: token, Session: session, Origin: origin, Host: host, Path: path, Until: now.Add(t.lifetime)})
	if err != nil {
		return "", "", err
	}
	sealed, err = t.keys.seal(plain, now)
	return sealed, session, err
}

var errBadTicket = errors.New("the ticket is not good here, or not any more")

// redeem returns what a ticket stands for, if it is for that request, and was
// not redeemed before.
func (t *tickets) redeem(sealed string, r *http.Request, now time.Time) (*ticket, error) {
	if _, err := base64.RawURLEncoding.DecodeString(sealed); err != nil || len(sealed) > 64<<10 {
		return nil, errBadTicket
	}
	plain, err := t.keys.open(sealed)
	if err != nil {
		return nil, errBadTicket
	}
	var k ticket
	if err := json.Unmarshal(plain, &k); err != nil {
		return nil, errBadTicket
	}
	if !now.Before(k.Until) || k.Origin != r.Header.Get("Origin") || len(r.Header["Origin"]) > 1 || k.Host != r.Host || k.Path != r.URL.Path {
		return nil, errBadTicket
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.used[k.Session]; ok {
		return nil, errBadTicket
	}
	if since := now.Sub(t.pruned); since > t.lifetime || len(t.used) >= maxUsed && since > time.Second {
		t.pruned = now
		for session, until := range t.used {
			if !now.Before(until) {
				delete(t.used, session)
			}
		}
	}
	if len(t.used) >= maxUsed {
		return nil, errBadTicket
	}
	t.used[k.Session] = k.Until
	return &k, nil
}

// redeemedKey is for where the source notes the handle that came with a ticket.
type redeemedKey struct{}

// source finds a ticket and returns the token that it stands for: it is checked
// like any other (R7).
func (t *tickets) source(r *http.Request) (token string, ok bool) {
	if !upgrade.Asked(r) { // R7: a ticket opens a socket, and nothing else
		return "", false
	}
	var sealed string
	for _, source := range t.sources {
		if found, is := source(r); is && !ok {
			sealed, ok = found, true
		}
	}
	if !ok {
		return "", false
	}
	k, err := t.redeem(sealed, r, time.Now())
	if err != nil {
		return "", true
	}
	if session, is := r.Context().Value(redeemedKey{}).(*string); is {
		*session = k.Session
	}
	return k.Token, true
}

// opened remembers the socket that was opened with a ticket, under the handle
// that came with that.
func (t *tickets) opened(session string, s *portcullis.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sockets[session] = s
}

// closed forgets it.
func (t *tickets) closed(session string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sockets, session)
}

// socket returns the live socket that was opened with a ticket, or nil.
func (t *tickets) socket(session string) *portcullis.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sockets[session]
}

// ticketProtocol finds a ticket behind its marker. Without that, what is spelled
// as base64url is a token.
func ticketProtocol(r *http.Request) (string, bool) {
	if !upgrade.HasToken(r.Header["Sec-Websocket-Protocol"], "ticket") {
		return "", false
	}
	return portcullis.Subprotocol("ticket")(r)
}
