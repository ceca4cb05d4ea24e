package gateway_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// A transmitter signs security events, and hands them out to who polls.
type transmitter struct {
	*httptest.Server
	t   *testing.T
	key ed25519.PrivateKey

	mu    sync.Mutex // guards what follows
	sets  map[string]string
	acked []string
	n     int
}

func newTransmitter(t *testing.T) *transmitter {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &transmitter{t: t, key: key, sets: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "1", Algorithm: "EdDSA", Use: "sig"}}})
	})
	mux.HandleFunc("POST /poll", tr.poll)
	tr.Server = httptest.NewServer(mux)
	t.Cleanup(tr.Close)
	return tr
}

func (tr *transmitter) poll(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Ack []string }
	_ = json.NewDecoder(r.Body).Decode(&asked)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, id := range asked.Ack {
		delete(tr.sets, id)
		tr.acked = append(tr.acked, id)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"sets": tr.sets})
}

// set signs an event about a subject.
func (tr *transmitter) set(kind string, subject map[string]any) (token, id string) {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.n++
	id = fmt.Sprint("set-", tr.n)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: tr.key, KeyID: "1"}},
		(&jose.SignerOptions{}).WithType("secevent+jwt"))
	if err != nil {
		tr.t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": tr.URL, "aud": "gateway", "iat": time.Now().Unix(), "jti": id, "sub_id": subject,
		"events": map[string]any{"https://schemas.openid.net/secevent/caep/event-type/" + kind: map[string]any{"event_timestamp": time.Now().Unix()}},
	})
	if err != nil {
		tr.t.Fatal(err)
	}
	jws, err := signer.Sign(claims)
	if err != nil {
		tr.t.Fatal(err)
	}
	token, err = jws.CompactSerialize()
	if err != nil {
		tr.t.Fatal(err)
	}
	return token, id
}

func (h *house) push(path, set, authorization string) int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+path, strings.NewReader(set))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/secevent+jwt")
	r.Header.Set("Authorization", authorization)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// R4: a pushed event ends whom it names, or has the token system asked again,
// and nobody else; what isn't good ends nobody.
func TestR4PushedEvents(t *testing.T) {
	tr := newTransmitter(t)
	h := openWith(t, start(t, newBackend()), introspection, fmt.Sprintf(`
signals: {issuer: %[1]q, audience: gateway, jwks_url: %[1]s/keys, push_secret_env: SECRET, token_issuer: ISSUER}
`, tr.URL)+chatAndAPI)
	const path = "/.portcullis/ssf/push"
	alice, bob, carol := h.token("alice", issuer.TokenOptions{}), h.token("bob", issuer.TokenOptions{}), h.token("carol", issuer.TokenOptions{Scopes: []string{"openid"}})
	a, b := h.socket("/wsapi/?token="+alice.Access), h.socket("/wsapi/?token="+bob.Access)
	user := func(sub string) map[string]any {
		return map[string]any{"format": "iss_sub", "iss": h.issuer.URL(), "sub": sub}
	}
	set, _ := tr.set("session-revoked", user("u-alice"))
	for name, got := range map[string]int{
		"without our secret": h.push(path, set, ""),
		"tampered":           h.push(path, set[:len(set)-8]+"AAAAAAAA", secret),
		"at another place":   h.push(path+"/x", set, secret),
	} {
		if got < 400 {
			t.Errorf("%s: %d", name, got)
		}
	}
	a.text("here")
	a.want("alice: here")
	if got := h.push(path, set, secret); got != 202 {
		t.Errorf("pushed: %d, want 202", got)
	}
	a.wantClose(3003, "session_revoked")
	b.text("here")
	b.want("bob: here")

	// A changed credential: the token system is asked again, and says no.
	h.issuer.RevokeSession(bob.SID)
	set, _ = tr.set("credential-change", user("u-bob"))
	if got := h.push(path, set, secret); got != 202 {
		t.Errorf("credential-change: %d, want 202", got)
	}
	b.wantClose(3003, "session_revoked")

	// By e-mail: the ones to come are refused too, by whichever way.
	if status, _, _ := h.get("/api/me", "Cookie", "session="+carol.Access); status != 200 {
		t.Fatalf("carol: %d, want 200", status)
	}
	set, _ = tr.set("session-revoked", map[string]any{"format": "email", "email": "carol@example.com"})
	if got := h.push(path, set, secret); got != 202 {
		t.Errorf("by e-mail: %d, want 202", got)
	}
	again := h.token("carol", issuer.TokenOptions{Scopes: []string{"openid", "email"}})
	if status, _, body := h.get("/api/me", "Cookie", "session="+again.Access); status != 401 {
		t.Errorf("carol, issued in the same second as the event: %d %s, want 401", status, body)
	}
}

// R4: polled events are obeyed and then acknowledged.
func TestR4PolledEvents(t *testing.T) {
	tr := newTransmitter(t)
	h := openWith(t, start(t, newBackend()), introspection, fmt.Sprintf(`
signals: {issuer: %[1]q, audience: gateway, jwks_url: %[1]s/keys, poll_url: %[1]s/poll, poll_token_env: SECRET, token_issuer: ISSUER}
`, tr.URL)+chatAndAPI)
	alice := h.token("alice", issuer.TokenOptions{})
	c := h.socket("/wsapi/?token=" + alice.Access)
	set, id := tr.set("session-revoked", map[string]any{"format": "iss_sub", "iss": h.issuer.URL(), "sub": "u-alice"})
	tr.mu.Lock()
	tr.sets[id] = set
	tr.mu.Unlock()
	c.wantClose(3003, "session_revoked")
	eventually(t, "it is acknowledged", func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return len(tr.acked) == 1 && tr.acked[0] == id && len(tr.sets) == 0
	})
}
