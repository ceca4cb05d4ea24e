package ssf

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// The methods of delivery (SSF 1.0, section 6.1).
const (
	Push = "urn:ietf:rfc:8935"
	Poll = "urn:ietf:rfc:8936"
)

// A TransmitterConfig says how to reach a transmitter. Issuer is required.
type TransmitterConfig struct {
	// Issuer is where the metadata lies, and the "issuer" that it must state, to
	// the letter.
	Issuer string

	// Bearer returns the access token for the management of streams. nil: none
	// is sent. The metadata is fetched without.
	Bearer func(context.Context) (string, error)

	// Timeout bounds each call. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout. nil: our own.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback.
	InsecurePlainHTTP bool
}

// A Transmitter manages our streams at one (SSF 1.0, section 8). It is made by
// [Discover], and safe for concurrent use. A URL that the metadata lacks is "".
type Transmitter struct {
	JWKSURL          string
	ConfigurationURL string
	StatusURL        string
	VerificationURL  string

	config TransmitterConfig
	https  bool
	asker  *askhttp.Asker
}

// A Stream is one by which events come.
type Stream struct {
	ID       string   // "stream_id"
	Method   string   // Push or Poll
	Endpoint string   // where SETs are pushed to, or polled from
	Events   []string // "events_delivered"
}

// Discover fetches a transmitter's metadata (SSF 1.0, section 7).
func Discover(ctx context.Context, c TransmitterConfig) (*Transmitter, error) {
	u, err := askhttp.CheckURL(c.Issuer, c.InsecurePlainHTTP)
	if err == nil && strings.Contains(c.Issuer, "?") {
		err = errors.New("URL must not have a query")
	}
	if err != nil {
		return nil, fmt.Errorf("ssf: the issuer's %w", err)
	}
	t := &Transmitter{config: c, https: u.Scheme == "https", asker: askhttp.New(c.Client, c.Timeout)}
	// Section 7.2: before the issuer's path, without a slash at its end.
	document := u.Scheme + "://" + u.Host + "/.well-known/ssf-configuration" + strings.TrimSuffix(u.EscapedPath(), "/")
	answer, err := ask(ctx, t.asker, http.MethodGet, document, nil, nil)
	var members map[string]json.RawMessage
	if err == nil {
		members, err = object(answer, http.StatusOK)
	}
	if err != nil {
		return nil, unavailable("discovery", err)
	}
	// Section 7.2.4: or another transmitter's keys would be taken for this one's.
	if issuer, _ := jws.Text(members["issuer"]); issuer != c.Issuer {
		return nil, errors.New(`ssf: discovery: the document's "issuer" is not the one configured (a slash at the end counts)`)
	}
	for name, field := range map[string]*string{
		"jwks_uri": &t.JWKSURL, "configuration_endpoint": &t.ConfigurationURL,
		"status_endpoint": &t.StatusURL, "verification_endpoint": &t.VerificationURL,
	} {
		raw, ok := members[name]
		if !ok {
			continue
		}
		if *field, err = t.url(raw); err != nil {
			return nil, fmt.Errorf("ssf: discovery: %s: %w", name, err)
		}
	}
	return t, nil
}

// url reads a URL that the transmitter names.
func (t *Transmitter) url(raw json.RawMessage) (string, error) {
	s, _ := jws.Text(raw)
	u, err := askhttp.CheckURL(s, t.config.InsecurePlainHTTP)
	if err == nil && u.Scheme == "http" && t.https { // loopback or not
		err = errors.New("is http, the issuer https")
	}
	return s, err
}

// object returns the members of an answer that is a JSON object (J4).
func object(answer *askhttp.Answer, status int) (map[string]json.RawMessage, error) {
	if answer.Status != status {
		return nil, answer.Unexpected()
	}
	body, err := answer.JSON()
	if err != nil {
		return nil, err
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return nil, fmt.Errorf("the answer is %w", err)
	}
	return members, nil
}

func unavailable(what string, err error) error {
	return fmt.Errorf("ssf: %s: %w: %w", what, portcullis.ErrUnavailable, err)
}

// call sends a request of the stream management API.
func (t *Transmitter) call(ctx context.Context, method, endpoint string, body any) (*askhttp.Answer, error) {
	if endpoint == "" {
		return nil, errors.New("the transmitter has no such endpoint")
	}
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return ask(ctx, t.asker, method, endpoint, raw, t.config.Bearer)
}

// CreateStream has the transmitter make a stream of these events (SSF 1.0,
// section 8.1.1.1). With method Push, they are pushed to endpoint with that
// Authorization header, if it isn't ""; with Poll both must be "". A transmitter
// may refuse a second stream; keep the ID of the first.
func (t *Transmitter) CreateStream(ctx context.Context, method, endpoint, authorization string, events []string) (*Stream, error) {
	delivery := map[string]string{"method": method}
	if endpoint != "" {
		delivery["endpoint_url"] = endpoint
	}
	if authorization != "" {
		delivery["authorization_header"] = authorization
	}
	body := map[string]any{"delivery": delivery, "events_requested": events}
	answer, err := t.call(ctx, http.MethodPost, t.ConfigurationURL, body)
	var s *Stream
	if err == nil {
		s, err = t.stream(answer, http.StatusCreated)
	}
	if err != nil {
		return nil, unavailable("creating a stream", err)
	}
	return s, nil
}

// Stream returns the stream with that ID (SSF 1.0, section 8.1.1.2).
func (t *Transmitter) Stream(ctx context.Context, id string) (*Stream, error) {
	answer, err := t.call(ctx, http.MethodGet, withID(t.ConfigurationURL, id), nil)
	var s *Stream
	if err == nil {
		s, err = t.stream(answer, http.StatusOK)
	}
	if err == nil && s.ID != id {
		err = errors.New("the answer is about another stream")
	}
	if err != nil {
		return nil, unavailable("reading a stream", err)
	}
	return s, nil
}

// stream reads a stream's configuration (SSF 1.0, section 8.1.1).
func (t *Transmitter) stream(answer *askhttp.Answer, status int) (*Stream, error) {
	members, err := object(answer, status)
	if err != nil {
		return nil, err
	}
	// Section 4.1.7: its SETs have this issuer.
	if iss, _ := jws.Text(members["iss"]); iss != t.config.Issuer {
		return nil, errors.New(`the stream's "iss" is not the issuer`)
	}
	s := &Stream{}
	if s.ID, _ = jws.Text(members["stream_id"]); s.ID == "" {
		return nil, errors.New(`the stream has no "stream_id"`)
	}
	delivery, err := strictjson.Object(members["delivery"])
	if err != nil {
		return nil, errors.New(`the stream's "delivery" is not an object`)
	}
	s.Method, _ = jws.Text(delivery["method"])
	if s.Endpoint, _ = jws.Text(delivery["endpoint_url"]); s.Method == Poll { // we are to call it
		if s.Endpoint, err = t.url(delivery["endpoint_url"]); err != nil {
			return nil, fmt.Errorf("the stream's endpoint: %w", err)
		}
	}
	if json.Unmarshal(members["events_delivered"], &s.Events) != nil {
		return nil, errors.New(`the stream's "events_delivered" is not a list of names`)
	}
	return s, nil
}

// Status returns the status of the stream with that ID: "enabled", "paused" or
// "disabled" (SSF 1.0, section 8.1.2.1).
func (t *Transmitter) Status(ctx context.Context, id string) (string, error) {
	answer, err := t.call(ctx, http.MethodGet, withID(t.StatusURL, id), nil)
	var members map[string]json.RawMessage
	if err == nil {
		members, err = object(answer, http.StatusOK)
	}
	status, _ := jws.Text(members["status"])
	if err == nil && status != "enabled" && status != "paused" && status != "disabled" {
		err = errors.New("the answer has no status that we know")
	}
	if err != nil {
		return "", unavailable("the stream's status", err)
	}
	return status, nil
}

// withID returns the endpoint with the id of a stream in its query.
func withID(endpoint, id string) string {
	u, err := url.Parse(endpoint)
	if err != nil || endpoint == "" {
		return ""
	}
	q := u.Query()
	q.Set("stream_id", id)
	u.RawQuery = q.Encode()
	return u.String()
}

// Verify asks t to send an event by the stream with that ID, and returns nil once
// r has received it (SSF 1.0, section 8.1.4): then all is well with the stream,
// from the transmitter's keys to our endpoint or Poller. It waits until ctx is
// done.
func (r *Receiver) Verify(ctx context.Context, t *Transmitter, id string) error {
	state := rand.Text()
	arrived := make(chan struct{}, 1)
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = make(map[string]chan<- struct{})
	}
	r.waiting[state] = arrived
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.waiting, state)
		r.mu.Unlock()
	}()
	answer, err := t.call(ctx, http.MethodPost, t.VerificationURL, map[string]string{"stream_id": id, "state": state})
	if err == nil && answer.Status != http.StatusNoContent {
		err = answer.Unexpected()
	}
	if err != nil {
		return unavailable("verifying the stream", err)
	}
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return unavailable("waiting for the stream's verification", ctx.Err())
	}
}
