package ssf_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// start runs a poller until the test ends, or stop is called.
func start(t *testing.T, s *site, tr *transmitter) (stop func()) {
	t.Helper()
	p, err := s.NewPoller(ssf.PollConfig{
		Endpoint: issuer + "/poll", Client: tr.client,
		Bearer: func(context.Context) (string, error) { return "access", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// R4: SETs that are polled end sessions, are acknowledged, or refused by name.
func TestR4Poll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		s := newSite(t, ssf.Config{})
		start(t, s, tr)
		time.Sleep(time.Minute + 1)
		synctest.Wait()
		if n := tr.polled(); n != 3 { // after 0, 30 and 60 s
			t.Errorf("%d polls in a quiet minute", n)
		}
		if tr.header.Get("Authorization") != "Bearer access" || tr.header.Get("Content-Type") != "application/json" ||
			tr.last["returnImmediately"] != false || tr.last["ack"] != nil || tr.last["setErrs"] != nil {
			t.Errorf("the poll: %v %v", tr.header, tr.last)
		}

		tr.send(nil)
		tr.put("forged", sign(header(nil), marshal(claims(object{"jti": "forged", "sub_id": object{"format": "opaque", "id": "bob"}})), forger))
		tr.put("wrong name", good(object{"jti": "x", "sub_id": object{"format": "opaque", "id": "bob"}}))
		tr.put("no string", 1)
		tr.put("iss", good(object{"jti": "iss", "iss": other}))
		synctest.Wait()
		if got := s.ended(); got != "ann1 ann2" {
			t.Errorf("ended: %q\n%s", got, s.logged())
		}
		if n := tr.left(); n != 0 {
			t.Errorf("%d are not acknowledged", n)
		}
		want := map[string]string{"forged": "authentication_failed", "wrong name": "invalid_request", "no string": "invalid_request", "iss": "invalid_issuer"}
		if !maps.Equal(tr.errors, want) {
			t.Errorf("errors: %v", tr.errors)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if tr.last["ack"] != nil || tr.last["setErrs"] != nil {
			t.Errorf("what has been heard is said again: %v", tr.last)
		}
	})
}

// R4: a SET that can't be carried out is not acknowledged, and fetched again, in
// growing intervals.
func TestR4PollUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		s := newSite(t, ssf.Config{})
		s.err = errors.New("store is down")
		tr.send(nil)
		start(t, s, tr)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if tr.left() != 1 || s.ended() != "ann1 ann2" {
			t.Errorf("%d left, ended %q", tr.left(), s.ended())
		}
		if n := tr.polled(); n < 7 || n > 12 {
			t.Errorf("%d polls", n)
		}
		s.mu.Lock()
		s.err = nil
		s.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if tr.left() != 0 {
			t.Error("not acknowledged")
		}
	})
}

// R4: a poller that is started anew has nothing lost, and repeats no harm.
func TestR4PollRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		s := newSite(t, ssf.Config{})
		stop := start(t, s, tr)
		synctest.Wait()
		tr.mu.Lock()
		tr.answer = func(w http.ResponseWriter) bool { // the acknowledgement is lost
			w.WriteHeader(500)
			return tr.last["ack"] != nil
		}
		tr.mu.Unlock()
		tr.send(nil)
		synctest.Wait()
		if tr.left() != 1 || s.ended() != "ann1 ann2" {
			t.Fatalf("%d left, ended %q", tr.left(), s.ended())
		}
		stop()
		tr.send(object{"sub_id": object{"format": "opaque", "id": "bob"}}) // while nobody listens
		tr.mu.Lock()
		tr.answer = nil
		tr.mu.Unlock()
		time.Sleep(24 * time.Hour)
		synctest.Wait()

		s = newSite(t, ssf.Config{}) // another process
		start(t, s, tr)
		synctest.Wait()
		if tr.left() != 0 || s.ended() != "" { // these have logged in since
			t.Errorf("%d left, ended %q", tr.left(), s.ended())
		}
		if len(s.revoked) != 2 {
			t.Errorf("revoked: %v", s.revoked)
		}
	})
}

// R4: acknowledgements that the transmitter may not have heard are repeated.
func TestR4PollRepeatsAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		s := newSite(t, ssf.Config{})
		failed := 0
		tr.answer = func(w http.ResponseWriter) bool {
			if tr.last["ack"] == nil || failed == 3 {
				return false
			}
			failed++
			w.WriteHeader(503)
			return true
		}
		tr.send(nil)
		start(t, s, tr)
		time.Sleep(time.Minute)
		synctest.Wait()
		if tr.left() != 0 || len(s.revoked) != 1 || failed != 3 {
			t.Errorf("%d left, revoked %v, %d failures", tr.left(), s.revoked, failed)
		}
	})
}

// R4, L1: many SETs come in many answers, without pauses.
func TestR4PollMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		s := newSite(t, ssf.Config{})
		for range 500 {
			tr.send(object{"sub_id": object{"format": "opaque", "id": "bob"}})
		}
		began := time.Now()
		start(t, s, tr)
		synctest.Wait()
		if tr.left() != 0 || time.Since(began) != 0 || s.ended() != "bob" {
			t.Errorf("%d left after %v", tr.left(), time.Since(began))
		}
	})
}

// R4, I2: nothing that a transmitter answers but SETs does anything; it is
// neither left alone for ever nor beleaguered.
func TestR4PollBadAnswers(t *testing.T) {
	revoke := good(object{"jti": "x"})
	answer := func(status int, media, body string) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	const media = "application/json"
	for name, tt := range map[string]struct {
		answer   func(http.ResponseWriter) bool
		min, max int // polls in ten minutes
	}{
		"401":              {answer(401, media, `{"sets":{"x":"`+revoke+`"}}`), 12, 30},
		"200 with HTML":    {answer(200, "text/html", `{"sets":{"x":"`+revoke+`"}}`), 12, 30},
		"202":              {answer(202, media, `{"sets":{"x":"`+revoke+`"}}`), 12, 30},
		"sets twice":       {answer(200, media, `{"sets":{},"sets":{"x":"`+revoke+`"}}`), 12, 30},
		"a SET twice":      {answer(200, media, `{"sets":{"x":"","x":"`+revoke+`"}}`), 12, 30},
		"Sets":             {answer(200, media, `{"Sets":{"x":"`+revoke+`"}}`), 12, 30},
		"a list":           {answer(200, media, `{"sets":["`+revoke+`"]}`), 12, 30},
		"data behind":      {answer(200, media, `{"sets":{"x":"`+revoke+`"}}x`), 12, 30},
		"too large":        {answer(200, media, `{"sets":{"x":"`+revoke+`","y":"`+strings.Repeat("x", 256<<10)+`"}}`), 12, 30},
		"empty, at once":   {answer(200, media, `{"sets":{}}`), 500, 700},
		"empty, more":      {answer(200, media, `{"sets":{},"moreAvailable":true}`), 500, 700},
		"the same bad one": {answer(200, media, `{"sets":{"x":"x"}}`), 500, 700},
		"429, after 100 s": {func(w http.ResponseWriter) bool {
			w.Header().Set("Retry-After", "100")
			w.WriteHeader(429)
			return true
		}, 6, 7},
		"503, after a year": {func(w http.ResponseWriter) bool {
			w.Header().Set("Retry-After", "31536000")
			w.WriteHeader(503)
			return true
		}, 2, 2},
		"503, after a nonsense": {func(w http.ResponseWriter) bool { w.Header().Set("Retry-After", "-1"); w.WriteHeader(503); return true }, 12, 30},
		"503, after a date": {func(w http.ResponseWriter) bool {
			w.Header().Set("Retry-After", time.Now().Add(100*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(503)
			return true
		}, 6, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTransmitter(t)
				tr.answer = tt.answer
				s := newSite(t, ssf.Config{})
				start(t, s, tr)
				time.Sleep(10*time.Minute + 1)
				synctest.Wait()
				if got := s.ended(); got != "" {
					t.Errorf("ended: %q", got)
				}
				if n := tr.polled(); n < tt.min || n > tt.max {
					t.Errorf("%d polls, want %d to %d", n, tt.min, tt.max)
				}
				if strings.Contains(s.logged(), "access") || strings.Contains(s.logged(), revoke) {
					t.Errorf("log:\n%s", s.logged())
				}
			})
		})
	}
}

// L1: a transmitter that doesn't answer is asked again, and is no error; one
// without a network is.
func TestR4PollSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		tr.hold = time.Hour
		s := newSite(t, ssf.Config{})
		start(t, s, tr)
		time.Sleep(10*time.Minute - 1)
		synctest.Wait()
		if n := tr.polled(); n != 5 || strings.Contains(s.logged(), "cannot") {
			t.Errorf("%d polls:\n%s", n, s.logged())
		}
		tr.send(nil)
		synctest.Wait()
		if got := s.ended(); got != "ann1 ann2" {
			t.Errorf("ended: %q", got)
		}
	})
}

func TestR4PollerBearerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ssf.Config{})
		fail := errors.New("no token today")
		p, err := s.NewPoller(ssf.PollConfig{
			Endpoint: issuer + "/poll", Client: serve(t, http.NotFoundHandler()),
			Bearer: func(context.Context) (string, error) { return "a\nb", fail },
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"no token today", "visible ASCII"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := p.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(s.logged(), want) {
				t.Errorf("Run: %v\n%s", err, s.logged())
			}
			cancel()
			fail = nil
		}
	})
}

func TestNewPoller(t *testing.T) {
	s := newSite(t, ssf.Config{})
	for endpoint, want := range map[string]string{
		issuer + "/poll?a=b": "", "http://127.0.0.1:1/poll": "", "": "missing",
		"http://id.example.com/poll": "InsecurePlainHTTP", "poll": "https://",
	} {
		_, err := s.NewPoller(ssf.PollConfig{Endpoint: endpoint})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	if _, err := s.NewPoller(ssf.PollConfig{Endpoint: issuer, Wait: -1}); err == nil {
		t.Error("a negative Wait is accepted")
	}
}
