package ssf_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

func bearer(context.Context) (string, error) { return "access", nil }

func discover(t *testing.T, tr *transmitter) (*ssf.Transmitter, error) {
	t.Helper()
	return ssf.Discover(t.Context(), ssf.TransmitterConfig{Issuer: issuer, Client: tr.client, Bearer: bearer})
}

// R4: a stream is made and verified, with a poller that needs nothing but the
// transmitter's name.
func TestR4Stream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		found, err := discover(t, tr)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := found.CreateStream(t.Context(), ssf.Poll, "", "", []string{ssf.SessionRevoked})
		want := &ssf.Stream{ID: "st1", Method: ssf.Poll, Endpoint: issuer + "/poll", Events: []string{ssf.SessionRevoked}}
		if diff := cmp.Diff(want, stream); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		if diff := cmp.Diff(object{"delivery": object{"method": ssf.Poll}, "events_requested": []any{ssf.SessionRevoked}}, tr.last); diff != "" ||
			tr.header.Get("Authorization") != "Bearer access" {
			t.Error(diff, tr.header)
		}
		if again, err := found.Stream(t.Context(), "st1"); err != nil || again.Endpoint != stream.Endpoint {
			t.Errorf("%v %v", again, err)
		}
		if status, err := found.Status(t.Context(), "st1"); err != nil || status != "enabled" {
			t.Errorf("%q %v", status, err)
		}

		s := newSite(t, ssf.Config{Client: tr.client}) // keys by discovery
		start(t, s, tr)
		if err := s.Verify(t.Context(), found, "st1"); err != nil {
			t.Errorf("%v\n%s", err, s.logged())
		}
		tr.send(nil)
		synctest.Wait()
		if got := s.ended(); got != "ann1 ann2" || tr.left() != 0 {
			t.Errorf("ended %q, %d left", got, tr.left())
		}
	})
}

// A stream is not verified by anything but the event with its state.
func TestR4VerifyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		found, err := discover(t, tr)
		if err != nil {
			t.Fatal(err)
		}
		s := newSite(t, ssf.Config{})
		start(t, s, tr)
		if err := s.Verify(t.Context(), found, "st2"); !errors.Is(err, portcullis.ErrUnavailable) || !strings.Contains(err.Error(), "404") {
			t.Errorf("another stream: %v", err)
		}
		tr.silent = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			for _, state := range []any{"x", "", gone} {
				tr.send(object{"events": object{verification: with(object{}, object{"state": state})}})
			}
		}()
		began := time.Now()
		if err := s.Verify(ctx, found, "st1"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if tr.left() != 0 || s.ended() != "" || s.Waiting() != 0 {
			t.Errorf("%d left, ended %q, %d waiting", tr.left(), s.ended(), s.Waiting())
		}
	})
}

// R4, J3: metadata that could be another's, or leads elsewhere, is not used.
func TestR4Discovery(t *testing.T) {
	for _, tt := range []struct {
		name string
		meta object
		want string
	}{
		{"good", nil, ""},
		{"no endpoints", object{"configuration_endpoint": gone, "status_endpoint": gone, "verification_endpoint": gone, "jwks_uri": gone}, ""},
		{"another issuer", object{"issuer": other}, "issuer"},
		{"a slash", object{"issuer": issuer + "/"}, "issuer"},
		{"no issuer", object{"issuer": gone}, "issuer"},
		{"Issuer", object{"issuer": gone, "Issuer": issuer}, "issuer"},
		{"keys by http", object{"jwks_uri": "http://id.example.com/keys"}, "jwks_uri"},
		{"keys on this machine", object{"jwks_uri": "http://127.0.0.1/keys"}, "jwks_uri"},
		{"keys nowhere", object{"jwks_uri": 1}, "jwks_uri"},
		{"status by http", object{"status_endpoint": "http://127.0.0.1/"}, "status_endpoint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTransmitter(t)
				tr.meta = tt.meta
				found, err := discover(t, tr)
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("err = %v, want %q", err, tt.want)
				}
				if found == nil || found.StatusURL != "" {
					return
				}
				_, create := found.CreateStream(t.Context(), ssf.Push, issuer, "", nil)
				_, read := found.Stream(t.Context(), "st1")
				_, status := found.Status(t.Context(), "st1")
				verify := newSite(t, ssf.Config{}).Verify(t.Context(), found, "st1")
				for _, err := range []error{create, read, status, verify} {
					if err == nil || !strings.Contains(err.Error(), "no such endpoint") {
						t.Errorf("err = %v", err)
					}
				}
			})
		})
	}
}

// SSF 1.0, section 7.2: where the metadata is, for issuers with a path.
func TestDiscoveryPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, want := range map[string]string{
			"https://id.example.com":       "/.well-known/ssf-configuration",
			"https://id.example.com/":      "/.well-known/ssf-configuration",
			"https://id.example.com/a/b":   "/.well-known/ssf-configuration/a/b",
			"https://id.example.com/a%2Fb": "/.well-known/ssf-configuration/a%2Fb",
			"https://id.example.com/a/":    "/.well-known/ssf-configuration/a",
		} {
			var got atomic.Pointer[string]
			client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got.Store(&r.RequestURI)
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(marshal(object{"issuer": name}))
			}))
			if _, err := ssf.Discover(t.Context(), ssf.TransmitterConfig{Issuer: name, Client: client}); err != nil || *got.Load() != want {
				t.Errorf("%s: %v, asked for %q", name, err, *got.Load())
			}
		}
		for _, name := range []string{"", "id.example.com", "http://id.example.com", "https://id.example.com?a", "https://a@id.example.com"} {
			if _, err := ssf.Discover(t.Context(), ssf.TransmitterConfig{Issuer: name}); err == nil || !strings.Contains(err.Error(), "URL") {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}

// R4: a stream of another issuer, or that leads elsewhere, is none.
func TestR4BadStream(t *testing.T) {
	for name, change := range map[string]object{
		"another issuer":   {"iss": other},
		"no id":            {"stream_id": gone},
		"another id":       {"stream_id": "st2"},
		"no delivery":      {"delivery": gone},
		"no endpoint":      {"delivery": object{"method": ssf.Poll}},
		"endpoint by http": {"delivery": object{"method": ssf.Poll, "endpoint_url": "http://127.0.0.1/"}},
		"events no list":   {"events_delivered": "x"},
		"status unknown":   {"status": "asleep"},
	} {
		synctest.Test(t, func(t *testing.T) {
			tr := newTransmitter(t)
			found, err := discover(t, tr)
			if err != nil {
				t.Fatal(err)
			}
			tr.stream = change
			if _, ok := change["status"]; ok {
				if _, err := found.Status(t.Context(), "st1"); !errors.Is(err, portcullis.ErrUnavailable) {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			if _, err := found.CreateStream(t.Context(), ssf.Poll, "", "", nil); err == nil && name != "another id" {
				t.Errorf("%s: created", name)
			}
			if _, err := found.Stream(t.Context(), "st1"); !errors.Is(err, portcullis.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		found, err := discover(t, tr)
		if err != nil {
			t.Fatal(err)
		}
		tr.stream = object{"delivery": object{"method": ssf.Push, "endpoint_url": "https://app.example.com/push"}}
		s, err := found.CreateStream(t.Context(), ssf.Push, "https://app.example.com/push", "Bearer x", []string{ssf.SessionRevoked})
		if err != nil || s.Endpoint != "https://app.example.com/push" {
			t.Errorf("%v %v", s, err)
		}
		want := object{"method": ssf.Push, "endpoint_url": "https://app.example.com/push", "authorization_header": "Bearer x"}
		if diff := cmp.Diff(want, tr.last["delivery"]); diff != "" {
			t.Error(diff)
		}
	})
}

// R4, J3, L4: a transmitter that is down refuses nobody's SETs, and forged ones
// don't make us fetch its metadata again and again.
func TestR4KeysByDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransmitter(t)
		up := atomic.Bool{}
		var calls atomic.Int64
		inner := tr.client.Transport
		client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if calls.Add(1); !up.Load() {
				return nil, errors.New("down")
			}
			return inner.RoundTrip(r)
		})}
		s := newSite(t, ssf.Config{Client: client})
		for range 20 {
			s.want(good(nil), 503, "")
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		up.Store(true)
		time.Sleep(5 * time.Second)
		s.want(good(nil), 202, "ann1 ann2")
		for range 20 {
			s.want(sign(header(nil), marshal(claims(nil)), forger), 400, "ann1 ann2")
		}
		if n := calls.Load(); n != 3 { // the metadata, and the keys
			t.Errorf("%d calls", n)
		}

		tr.meta = object{"jwks_uri": gone}
		s = newSite(t, ssf.Config{Client: client})
		s.want(good(nil), 503, "")
		if !strings.Contains(s.logged(), "jwks_uri") {
			t.Error(s.logged())
		}
		s = newSite(t, ssf.Config{Client: client, JWKSURL: issuer + "/keys"})
		s.want(good(nil), 202, "ann1 ann2")
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
