package backchannel_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

// R3: the request around the token.
func TestR3Request(t *testing.T) {
	token := good(t, nil)
	form := "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, method, target, media, body string
		want                              int
	}{
		{"good", "POST", "/", form, "logout_token=" + token, 200},
		{"good, charset", "POST", "/", form + "; charset=UTF-8", "logout_token=" + token, 200},
		{"good, other fields", "POST", "/?x=y", form, "a=b&logout_token=" + token, 200},
		{"GET", "GET", "/?logout_token=" + token, "", "", 405},
		{"HEAD", "HEAD", "/", "", "", 405},
		{"PUT", "PUT", "/", form, "logout_token=" + token, 405},
		{"OPTIONS", "OPTIONS", "/", "", "", 405},
		{"in the URL", "POST", "/?logout_token=" + token, form, "", 400},
		{"JSON", "POST", "/", "application/json", `{"logout_token":"` + token + `"}`, 400},
		{"form as JSON", "POST", "/", "application/json", "logout_token=" + token, 400},
		{"multipart", "POST", "/", "multipart/form-data; boundary=x", "logout_token=" + token, 400},
		{"no type", "POST", "/", "", "logout_token=" + token, 400},
		{"no token", "POST", "/", form, "token=" + token, 400},
		{"two tokens", "POST", "/", form, "logout_token=" + token + "&logout_token=" + token, 400},
		{"semicolons", "POST", "/", form, "a;logout_token=" + token, 400},
		{"broken escape", "POST", "/", form, "a=%zz&logout_token=" + token, 400},
		{"too large", "POST", "/", form, "logout_token=" + token + "&x=" + strings.Repeat("x", 64<<10), 400},
		{"empty", "POST", "/", form, "", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReceiver(t, backchannel.Config{})
			req := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			if tt.media != "" {
				req.Header.Set("Content-Type", tt.media)
			}
			w := r.serve(t, req, token)
			wantStatus(t, w, tt.want)
			if got := len(r.revoked); got > 0 != (tt.want == 200) {
				t.Errorf("revoked: %v", r.revoked)
			}
			if got := w.Header().Get("Allow"); (got == "POST") != (tt.want == 405) {
				t.Errorf("Allow %q", got)
			}
		})
	}
}

// R3: what is revoked.
func TestR3Revocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now() // a whole second in a bubble
		session := portcullis.Revocation{Issuer: issuer, SessionID: "s1"}
		user := func(before time.Time) portcullis.Revocation {
			return portcullis.Revocation{Issuer: issuer, Subject: "u1", IssuedBefore: before}
		}
		for _, tt := range []struct {
			name      string
			bySubject bool
			change    object
			want      []portcullis.Revocation
		}{
			// The session id is enough, and the subject might not match.
			{"both", false, nil, []portcullis.Revocation{session}},
			{"session", false, object{"sub": gone}, []portcullis.Revocation{session}},
			{"user", false, object{"sid": gone}, []portcullis.Revocation{user(now)}},
			// Fail closed: the later of the two clocks.
			{"user, delivered late", false, object{"sid": gone, "iat": now.Unix() - 200}, []portcullis.Revocation{user(now)}},
			{"user, issuer's clock ahead", false, object{"sid": gone, "iat": now.Unix() + 30}, []portcullis.Revocation{user(now.Add(30 * time.Second))}},
			{"both, by subject", true, nil, []portcullis.Revocation{session, user(now)}},
			{"session, by subject", true, object{"sub": gone}, []portcullis.Revocation{session}},
			{"user, by subject", true, object{"sid": gone}, []portcullis.Revocation{user(now)}},
		} {
			r := newReceiver(t, backchannel.Config{BySubject: tt.bySubject})
			wantStatus(t, r.post(t, good(t, tt.change)), 200)
			if diff := cmp.Diff(tt.want, r.revoked); diff != "" {
				t.Errorf("%s: revocations (-want +got):\n%s", tt.name, diff)
			}
		}
	})
}

// R3: a token works once, for as long as it would pass.
func TestR3Replay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, backchannel.Config{})
		token := good(t, object{"exp": gone, "iat": time.Now().Add(time.Minute).Unix()})
		wantStatus(t, r.post(t, token), 200)
		for range 9 { // minutes: 1 ahead, 5 of age, 1 of leeway, and the last too late
			if w := r.post(t, token); w.Code != 400 {
				t.Errorf("replay: status %d", w.Code)
			}
			time.Sleep(time.Minute)
		}
		if len(r.revoked) != 1 {
			t.Errorf("%d revocations", len(r.revoked))
		}
		if !strings.Contains(r.log.String(), "used") || !strings.Contains(r.log.String(), "too long ago") {
			t.Errorf("the log should have both reasons:\n%s", &r.log)
		}
	})
}

// R3, R5: what can't be done now isn't pretended, and can be repeated.
func TestR3Unavailable(t *testing.T) {
	token := good(t, nil)
	t.Run("Revoke fails", func(t *testing.T) {
		r := newReceiver(t, backchannel.Config{})
		r.err = errors.New("store is down")
		wantStatus(t, r.post(t, token), 503)
		if !strings.Contains(r.log.String(), "store is down") {
			t.Errorf("log: %s", &r.log)
		}
		r.err = nil
		wantStatus(t, r.post(t, token), 200)
		wantStatus(t, r.post(t, token), 400)
		if len(r.revoked) != 2 {
			t.Errorf("revoked: %v", r.revoked)
		}
	})
	t.Run("the second of two revocations fails", func(t *testing.T) {
		calls := 0
		r := newReceiver(t, backchannel.Config{BySubject: true, Revoke: func(context.Context, portcullis.Revocation) error {
			if calls++; calls == 2 {
				return errors.New("down")
			}
			return nil
		}})
		wantStatus(t, r.post(t, token), 503)
		wantStatus(t, r.post(t, token), 200)
		if calls != 4 {
			t.Errorf("%d calls", calls)
		}
	})
	t.Run("no keys", func(t *testing.T) {
		r := newReceiver(t, backchannel.Config{Keys: fixed{errors.New("issuer is down")}})
		wantStatus(t, r.post(t, token), 503)
	})
}

// An issuer that hangs up doesn't stop what it has ordered; a Revoke that
// doesn't return is given up.
func TestR3HangUpAndHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := newReceiver(t, backchannel.Config{Revoke: func(c context.Context, _ portcullis.Revocation) error {
			cancel()
			return c.Err()
		}})
		body := strings.NewReader("logout_token=" + good(t, nil))
		req := httptest.NewRequest(http.MethodPost, "/", body).WithContext(ctx)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		wantStatus(t, r.serve(t, req, ""), 200)

		r = newReceiver(t, backchannel.Config{Revoke: func(c context.Context, _ portcullis.Revocation) error {
			<-c.Done()
			return c.Err()
		}})
		began := time.Now()
		wantStatus(t, r.post(t, good(t, nil)), 503)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
