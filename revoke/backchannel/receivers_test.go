package backchannel_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

// single is one key, whatever it is called.
type single ed25519.PublicKey

func (s single) Keys(context.Context, string, string) ([]crypto.PublicKey, error) {
	return []crypto.PublicKey{ed25519.PublicKey(s)}, nil
}

// R3, J3: each logout token is for the issuer that it names, by that issuer's
// keys only, and its replays are too.
func TestR3SeveralIssuers(t *testing.T) {
	const second = "https://second.example.com"
	var log bytes.Buffer
	var revoked []string
	newFor := func(issuer, audience string, key ed25519.PrivateKey) *backchannel.Receiver {
		r, err := backchannel.New(backchannel.Config{
			Issuer: issuer, Audience: audience, Keys: single(key.Public().(ed25519.PublicKey)), Log: slog.New(slog.NewTextHandler(&log, nil)),
			Revoke: func(_ context.Context, rev portcullis.Revocation) error {
				revoked = append(revoked, audience+" "+rev.Issuer)
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	// forger is the second issuer here: he is no more to the first than that.
	one, two, more := newFor(issuer, client, edPrivate), newFor(second, client, forger), newFor(second, "more", forger)
	all, err := backchannel.Join(one, two, more)
	if err != nil {
		t.Fatal(err)
	}
	token := func(key ed25519.PrivateKey, change object) string {
		return sign(t, object{"alg": "EdDSA", "kid": "ed"}, marshal(t, claims(change)), key)
	}
	of := func(iss string, aud any, jti string) object { return object{"iss": iss, "aud": aud, "jti": jti} }
	for _, tt := range []struct {
		name, token string
		status      int
		want        string // what is revoked, or in the description
	}{
		{"the first", token(edPrivate, of(issuer, client, "1")), 200, client + " " + issuer},
		{"the first again", token(edPrivate, of(issuer, client, "1")), 400, "has been used"},
		{"the second, with that jti", token(forger, of(second, client, "1")), 200, client + " " + second},
		{"the second again", token(forger, of(second, client, "1")), 400, "has been used"},
		{"another client of the second", token(forger, of(second, "more", "2")), 200, "more " + second},
		{"both clients", token(forger, of(second, []string{"more", client}, "3")), 200, client + " " + second},
		{"the first, by the second", token(forger, of(issuer, client, "4")), 400, "signature"},
		{"the second, by the first", token(edPrivate, of(second, client, "5")), 400, "signature"},
		{"a third", token(edPrivate, of("https://third.example.com", client, "6")), 400, "no issuer"},
		{"the first with a slash", token(edPrivate, of(issuer+"/", client, "7")), 400, "no issuer"},
		{"a client of the other only", token(edPrivate, of(issuer, "more", "8")), 400, "no issuer"},
		{"no iss", token(edPrivate, of("", client, "9")), 400, "no issuer"},
		{"iss a list", token(edPrivate, object{"iss": []string{issuer}}), 400, "no issuer"},
		{"iss twice", sign(t, object{"alg": "EdDSA"}, []byte(strings.Replace(string(marshal(t, claims(nil))), "{", `{"iss":"`+second+`",`, 1)), edPrivate), 400, "claims"},
		{"none", sign(t, object{"alg": "none"}, marshal(t, claims(nil)), nil) + "x", 400, "alg"},
		{"no token", "x", 400, "three parts"},
		{"empty", "", 400, "empty"},
		{"too long", strings.Repeat("x", 17<<10), 400, "too long"},
	} {
		revoked = nil
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(url.Values{"logout_token": {tt.token}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		all.ServeHTTP(w, req)
		got := strings.Join(revoked, ",")
		if tt.status == 400 {
			var body struct {
				Description string `json:"error_description"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || got != "" {
				t.Errorf("%s: %v, revoked %q", tt.name, err, got)
			}
			got = body.Description
		}
		if w.Code != tt.status || !strings.Contains(got, tt.want) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q, want %d %q", tt.name, w.Code, got, tt.status, tt.want)
		}
	}
	if !strings.Contains(log.String(), "logout token refused") || !strings.Contains(log.String(), "iss="+second) {
		t.Errorf("log:\n%s", &log)
	}

	for name, list := range map[string][]*backchannel.Receiver{"none": nil, "twice": {one, two, newFor(issuer, client, forger)}} {
		if _, err := backchannel.Join(list...); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
