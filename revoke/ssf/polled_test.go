package ssf_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// A transmitter has metadata, keys, one stream, and SETs that it delivers until
// they are acknowledged.
type transmitter struct {
	client *http.Client

	mu     sync.Mutex // guards what follows
	wake   chan struct{}
	sets   map[string]any // by id; not acknowledged yet
	errors map[string]string
	polls  []time.Time
	last   object // what the last poll said
	header http.Header
	answer func(http.ResponseWriter) bool // instead; reports whether it did
	hold   time.Duration                  // how long a poll may wait
	silent bool                           // no verification events
	meta   object                         // changes to the metadata
	stream object                         // and to the stream
}

func newTransmitter(t *testing.T) *transmitter {
	tr := &transmitter{wake: make(chan struct{}), sets: map[string]any{}, errors: map[string]string{}, hold: 30 * time.Second}
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(marshal(v))
	}
	mux.HandleFunc("GET /.well-known/ssf-configuration", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the metadata was asked for with a token")
		}
		write(w, 200, with(object{
			"spec_version": "1_0", "issuer": issuer, "jwks_uri": issuer + "/keys", "configuration_endpoint": issuer + "/streams",
			"status_endpoint": issuer + "/status?v=1", "verification_endpoint": issuer + "/verify",
		}, tr.meta))
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		write(w, 200, object{"keys": []object{{"kty": "OKP", "crv": "Ed25519", "kid": "k", "alg": "EdDSA", "use": "sig", "x": encode(public)}}})
	})
	configuration := func(w http.ResponseWriter, status int) {
		write(w, status, with(object{
			"stream_id": "st1", "iss": issuer, "aud": audience, "events_delivered": []string{ssf.SessionRevoked},
			"delivery": object{"method": ssf.Poll, "endpoint_url": issuer + "/poll"},
		}, tr.stream))
	}
	mux.HandleFunc("POST /streams", func(w http.ResponseWriter, r *http.Request) {
		tr.heard(r)
		configuration(w, 201)
	})
	mux.HandleFunc("GET /streams", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("stream_id") != "st1" {
			http.NotFound(w, r)
			return
		}
		configuration(w, 200)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("stream_id") != "st1" || r.FormValue("v") != "1" {
			http.NotFound(w, r)
			return
		}
		write(w, 200, with(object{"stream_id": "st1", "status": "enabled"}, tr.stream))
	})
	mux.HandleFunc("POST /verify", func(w http.ResponseWriter, r *http.Request) {
		said := tr.heard(r)
		if said["stream_id"] != "st1" {
			http.NotFound(w, r)
			return
		}
		if !tr.silent {
			tr.send(object{"sub_id": object{"format": "opaque", "id": "st1"}, "events": object{verification: object{"state": said["state"]}}})
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /poll", tr.poll)
	tr.client = serve(t, mux)
	return tr
}

// heard keeps what a request said, and returns it.
func (tr *transmitter) heard(r *http.Request) (said object) {
	_ = json.NewDecoder(r.Body).Decode(&said)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.last, tr.header = said, r.Header
	return said
}

// send queues a SET, and returns its id.
func (tr *transmitter) send(change object) string {
	c := claims(change)
	id := c["jti"].(string)
	tr.put(id, sign(header(nil), marshal(c), private))
	return id
}

func (tr *transmitter) put(id string, set any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.sets[id] = set
	close(tr.wake)
	tr.wake = make(chan struct{})
}

// poll is RFC 8936, section 2.
func (tr *transmitter) poll(w http.ResponseWriter, r *http.Request) {
	said := tr.heard(r)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.polls = append(tr.polls, time.Now())
	if tr.answer != nil && tr.answer(w) {
		return
	}
	if acks, ok := said["ack"].([]any); ok {
		for _, id := range acks {
			delete(tr.sets, id.(string))
		}
	}
	if errs, ok := said["setErrs"].(object); ok {
		for id, e := range errs {
			delete(tr.sets, id)
			tr.errors[id] = e.(object)["err"].(string)
		}
	}
	for deadline := time.Now().Add(tr.hold); len(tr.sets) == 0 && time.Now().Before(deadline) && r.Context().Err() == nil; {
		wake := tr.wake
		tr.mu.Unlock()
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-wake:
		case <-timer.C:
		case <-r.Context().Done():
		}
		timer.Stop()
		tr.mu.Lock()
	}
	sets, n := object{}, int(said["maxEvents"].(float64))
	for _, id := range slices.Sorted(maps.Keys(tr.sets)) {
		if len(sets) < n {
			sets[id] = tr.sets[id]
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(marshal(object{"sets": sets, "moreAvailable": len(tr.sets) > len(sets)}))
}

// left returns how many SETs are not acknowledged.
func (tr *transmitter) left() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.sets)
}

func (tr *transmitter) polled() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.polls)
}
