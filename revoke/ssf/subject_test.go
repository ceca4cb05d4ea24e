package ssf_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// R1, R4: whom each subject names, and nobody else. What is revoked is asked
// about, too, where the event leads to that.
func TestR4Subjects(t *testing.T) {
	opaque := func(id any) object { return object{"format": "opaque", "id": id} }
	issSub := func(iss, sub any) object { return object{"format": "iss_sub", "iss": iss, "sub": sub} }
	email := func(a any) object { return object{"format": "email", "email": a} }
	jwtID := func(iss, jti any) object { return object{"format": "jwt_id", "iss": iss, "jti": jti} }
	complexOf := func(members object) object { return with(object{"format": "complex"}, members) }
	members := ssf.Config{Members: map[string]string{"tenant": "tid", "device": "device_id", "application": ""}}
	elsewhere := ssf.Config{Issuers: map[string]string{issuer: other}}
	anywhere := ssf.Config{Issuers: map[string]string{issuer: ""}}
	session := ssf.Config{OpaqueSession: true}
	const bad = "400"
	for _, tt := range []struct {
		name    string
		config  ssf.Config
		subject any
		want    string // who is ended; or bad
	}{
		{"iss_sub", ssf.Config{}, issSub(issuer, "ann"), "ann1 ann2"},
		{"iss_sub, bob", ssf.Config{}, issSub(issuer, "bob"), "bob"},
		{"iss_sub of another issuer", ssf.Config{}, issSub(other, "ann"), "ann/o"},
		{"iss_sub of an unknown issuer", ssf.Config{}, issSub("https://x", "ann"), ""},
		{"iss_sub, mapped", elsewhere, issSub(issuer, "ann"), "ann/o"},
		{"iss_sub, any issuer", anywhere, issSub(issuer, "ann"), "ann/o ann1 ann2 bare"},
		{"iss_sub, another case", ssf.Config{}, issSub(issuer, "Ann"), ""},
		{"opaque", ssf.Config{}, opaque("ann"), "ann1 ann2"},
		{"opaque, mapped", elsewhere, opaque("ann"), "ann/o"},
		{"opaque, a session's", ssf.Config{}, opaque("s1"), ""},
		{"opaque, of a session", session, opaque("s1"), "ann1"},
		{"email", ssf.Config{}, email("ann@example.com"), "ann1 ann2"},
		{"email in another case", ssf.Config{}, email("ANN@Example.COM"), "ann1 ann2"},
		{"email, mapped", elsewhere, email("ann@example.com"), "ann/o"},
		{"email, any issuer", anywhere, email("ann@example.com"), "ann/o ann1 ann2 bare"},
		{"email, a part", ssf.Config{}, email("ann@example.co"), ""},
		{"jwt_id", ssf.Config{}, jwtID(issuer, "t1"), "ann1"},
		{"jwt_id of another issuer", ssf.Config{}, jwtID(other, "t1"), "ann/o"},

		{"complex, user", ssf.Config{}, complexOf(object{"user": issSub(issuer, "ann")}), "ann1 ann2"},
		{"complex, user by email", ssf.Config{}, complexOf(object{"user": email("ann@example.com")}), "ann1 ann2"},
		{"complex, session", ssf.Config{}, complexOf(object{"session": opaque("s1")}), "ann1"},
		{"complex, session and user", ssf.Config{}, complexOf(object{"session": opaque("s1"), "user": issSub(issuer, "ann")}), "ann1"},
		{"complex, session and opaque user", ssf.Config{}, complexOf(object{"session": opaque("s2"), "user": opaque("ann")}), "ann2"},
		{"complex, another's session", ssf.Config{}, complexOf(object{"session": opaque("s3"), "user": issSub(issuer, "ann")}), ""},
		{"complex, session, user elsewhere", ssf.Config{}, complexOf(object{"session": opaque("s1"), "user": issSub(other, "ann")}), "ann/o"},
		{"complex, session and email", ssf.Config{}, complexOf(object{"session": opaque("s2"), "user": email("ann@example.com")}), "ann2"},
		{"complex, session and another's email", ssf.Config{}, complexOf(object{"session": opaque("s2"), "user": email("bob@example.com")}), ""},
		{"complex, token", ssf.Config{}, complexOf(object{"user": jwtID(issuer, "t2")}), "ann2"},
		{"complex, user and tenant", members, complexOf(object{"user": issSub(issuer, "ann"), "tenant": opaque("acme")}), "ann1 ann2"},
		{"complex, user and another tenant", members, complexOf(object{"user": issSub(issuer, "ann"), "tenant": opaque("acm")}), ""},
		{"complex, tenant in another case", members, complexOf(object{"user": issSub(issuer, "ann"), "tenant": opaque("ACME")}), ""},
		{"complex, user and device", members, complexOf(object{"user": issSub(issuer, "ann"), "device": issSub(issuer, "d2")}), "ann2"},
		{"complex, user and another's device", members, complexOf(object{"user": issSub(issuer, "ann"), "device": opaque("d3")}), ""},
		{"complex, device and tenant", members, complexOf(object{"device": opaque("d3"), "tenant": opaque("acme")}), "bob"},
		{"complex, all", members, complexOf(object{"user": email("ann@example.com"), "session": opaque("s1"), "device": opaque("d1"), "tenant": opaque("acme")}), "ann1"},
		{"complex, one of all is wrong", members, complexOf(object{"user": email("ann@example.com"), "session": opaque("s1"), "device": opaque("d2"), "tenant": opaque("acme")}), ""},
		{"complex, one is not compared", members, complexOf(object{"user": issSub(issuer, "bob"), "application": object{}}), "bob"},

		{"complex, only that", members, complexOf(object{"application": opaque("x")}), bad},
		{"complex, a member that we can't compare", ssf.Config{}, complexOf(object{"user": issSub(issuer, "ann"), "tenant": opaque("acme")}), bad},
		{"complex, two issuers", members, complexOf(object{"user": issSub(issuer, "ann"), "device": issSub(other, "d1")}), bad},
		{"complex, empty", ssf.Config{}, complexOf(nil), bad},
		{"complex in complex", ssf.Config{}, complexOf(object{"user": complexOf(object{"user": opaque("ann")})}), bad},
		{"complex, user a string", ssf.Config{}, complexOf(object{"user": "ann"}), bad},
		{"complex, user null", ssf.Config{}, complexOf(object{"user": nil, "session": opaque("s1")}), bad},
		{"complex, session an iss_sub", ssf.Config{}, complexOf(object{"session": issSub(issuer, "s1")}), bad},
		{"complex, session a token", ssf.Config{}, complexOf(object{"session": jwtID(issuer, "t1")}), bad},
		{"complex, tenant a token", members, complexOf(object{"tenant": jwtID(issuer, "t1")}), bad},
		{"missing", ssf.Config{}, gone, bad},
		{"null", ssf.Config{}, nil, bad},
		{"a string", ssf.Config{}, "ann", bad},
		{"empty", ssf.Config{}, object{}, bad},
		{"no format", ssf.Config{}, object{"iss": issuer, "sub": "ann"}, bad},
		{"Format", ssf.Config{}, object{"Format": "opaque", "id": "ann"}, bad},
		{"format in capitals", ssf.Config{}, object{"format": "OPAQUE", "id": "ann"}, bad},
		{"account", ssf.Config{}, object{"format": "account", "uri": "acct:ann@example.com"}, bad},
		{"did", ssf.Config{}, object{"format": "did", "url": "did:example:1"}, bad},
		{"uri", ssf.Config{}, object{"format": "uri", "uri": "urn:x"}, bad},
		{"phone_number", ssf.Config{}, object{"format": "phone_number", "phone_number": "+1"}, bad},
		{"aliases", ssf.Config{}, object{"format": "aliases", "identifiers": []object{opaque("ann")}}, bad},
		{"ip-addresses", ssf.Config{}, object{"format": "ip-addresses", "ip-addresses": []string{"::1"}}, bad},
		{"opaque without id", ssf.Config{}, object{"format": "opaque"}, bad},
		{"opaque, empty", ssf.Config{}, opaque(""), bad},
		{"opaque, a number", ssf.Config{}, opaque(1), bad},
		{"iss_sub without iss", ssf.Config{}, object{"format": "iss_sub", "sub": "ann"}, bad},
		{"iss_sub, iss empty", ssf.Config{}, issSub("", "ann"), bad},
		{"iss_sub, sub empty", ssf.Config{}, issSub(issuer, ""), bad},
		{"iss_sub, sub null", ssf.Config{}, issSub(issuer, nil), bad},
		{"jwt_id without iss", ssf.Config{}, object{"format": "jwt_id", "jti": "t1"}, bad},
		{"email, empty", ssf.Config{}, email(""), bad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, event := range []string{ssf.SessionRevoked, ssf.CredentialChange} {
				s := newSite(t, tt.config)
				status, code := s.push(good(object{"sub_id": tt.subject, "events": object{event: object{}}}))
				got := s.ended() + strings.Join(s.asked, " ")
				if tt.want == bad {
					if status != 400 || code != "invalid_request" || got != "" || len(s.revoked) > 0 {
						t.Errorf("%d %s, %q, revoked %v", status, code, got, s.revoked)
					}
				} else if status != 202 || got != tt.want {
					t.Errorf("%d %s, %q, want %q", status, code, got, tt.want)
				}
				for _, rev := range s.revoked { // a "sub" alone may be anybody's
					if rev.Issuer == "" && strings.HasPrefix(tt.name, "email") {
						t.Errorf("revoked %v", rev)
					}
				}
				if event == ssf.CredentialChange && s.ended() != "" {
					t.Errorf("ended: %q", s.ended())
				}
			}
		})
	}
}

// R4: who logs in after what happened is spared; a session or a token that was
// revoked never comes back.
func TestR4IssuedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now() // a whole second in a bubble
		at := func(ago int64) object {
			return object{ssf.SessionRevoked: object{"event_timestamp": now.Unix() - ago}}
		}
		user := func(before time.Time) []portcullis.Revocation {
			return []portcullis.Revocation{{Issuer: issuer, Subject: "ann", IssuedBefore: before}}
		}
		for name, tt := range map[string]struct {
			change object
			want   []portcullis.Revocation
		}{
			"iat":            {nil, user(now)},
			"iat, late":      {object{"iat": now.Unix() - 600}, user(now.Add(-10 * time.Minute))},
			"timestamp":      {object{"events": at(60)}, user(now.Add(-time.Minute))},
			"timestamp late": {object{"events": at(-600)}, user(now)},
			"timestamp 0":    {object{"events": at(now.Unix())}, user(now)},
			"timestamp text": {object{"events": object{ssf.SessionRevoked: object{"event_timestamp": "x"}}}, user(now)},
			"timestamp huge": {object{"events": object{ssf.SessionRevoked: object{"event_timestamp": 1e300}}}, user(now)},
			"milliseconds":   {object{"events": object{ssf.SessionRevoked: object{"event_timestamp": now.UnixMilli()}}}, user(now)},
			"session": {
				object{"events": at(60), "sub_id": object{"format": "complex", "session": object{"format": "opaque", "id": "s1"}}},
				[]portcullis.Revocation{{Issuer: issuer, SessionID: "s1"}},
			},
			"token": {
				object{"events": at(60), "sub_id": object{"format": "jwt_id", "iss": issuer, "jti": "t1"}},
				[]portcullis.Revocation{{Issuer: issuer, TokenID: "t1"}},
			},
		} {
			s := newSite(t, ssf.Config{})
			if status, code := s.push(good(tt.change)); status != 202 {
				t.Errorf("%s: %d %s", name, status, code)
			}
			if diff := cmp.Diff(tt.want, s.revoked); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// R4: a SET works once; it is acknowledged whenever it comes, unless it could
// not be carried out.
func TestR4Replay(t *testing.T) {
	s := newSite(t, ssf.Config{})
	set := good(nil)
	s.err = errors.New("not stored")
	s.want(set, 503, "ann1 ann2") // enforced here all the same
	s.want(set, 503, "ann1 ann2")
	s.err = nil
	s.want(set, 202, "ann1 ann2")
	for range 3 {
		s.want(set, 202, "ann1 ann2")
	}
	if len(s.revoked) != 3 {
		t.Errorf("%d revocations, want 3", len(s.revoked))
	}
	s.want(good(object{"jti": "x"}), 202, "ann1 ann2")
	if len(s.revoked) != 4 {
		t.Errorf("another SET is taken for the first")
	}
	if !strings.Contains(s.logged(), "not stored") {
		t.Error("the log doesn't say why")
	}
}

// R4: a SET that comes again after its id has been forgotten spares those who
// have logged in since.
func TestR4LateReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, subject := range []object{
			{"format": "iss_sub", "iss": issuer, "sub": "ann"},
			{"format": "email", "email": "ann@example.com"},
		} {
			set := good(object{"sub_id": subject})
			time.Sleep(time.Minute)
			s := newSite(t, ssf.Config{})
			s.want(set, 202, "ann1 ann2")
			s.issued = time.Now()
			session, err := s.admit("ann1")
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			s.Forget()
			before := len(s.revoked)
			s.want(set, 202, "ann1 ann2")
			if len(s.revoked) == before && subject["format"] == "iss_sub" {
				t.Error("not carried out again: this test tests nothing")
			}
			if err := session.Err(); err != nil {
				t.Errorf("a login of after the event: %v", err)
			}
		}
	})
}

// R4: whoever is named by an e-mail address stays out, whether there was a
// session then or not, until all the tokens of then are over.
func TestR4EmailIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		email := good(object{"sub_id": object{"format": "email", "email": "ann@example.com"}})
		for _, tt := range []struct {
			name string
			live bool
		}{{"while there is a session", true}, {"while there is none", false}} {
			s := newSite(t, ssf.Config{Hold: time.Hour})
			if !tt.live {
				for _, session := range s.live {
					session.Close()
				}
			}
			if status, _ := s.push(email); status != 202 {
				t.Fatal(status)
			}
			if got := len(s.revoked); got > 0 != tt.live {
				t.Errorf("%s: revoked by name: %v", tt.name, s.revoked)
			}
			for i, token := range []string{"ann1", "ann2", "ann1"} {
				session, err := s.admit(token)
				if !errors.Is(err, portcullis.ErrRevoked) {
					t.Errorf("%s: %s: %v", tt.name, token, err)
				}
				if i == 0 && !tt.live && session.Err() == nil { // the Guard, that let it in, knows by now
					t.Errorf("%s: %s lives", tt.name, token)
				}
			}
			for _, token := range []string{"bob", "ann/o", "bare"} {
				if _, err := s.admit(token); err != nil {
					t.Errorf("%s: %s: %v", tt.name, token, err)
				}
			}
			want := portcullis.Revocation{Issuer: issuer, Subject: "ann", IssuedBefore: time.Now()}
			for _, rev := range s.revoked {
				if rev != want {
					t.Errorf("%s: revoked %v, want %v", tt.name, rev, want)
				}
			}
			s.issued = time.Time{} // no "iat": when it was issued can't be told
			if err := s.Check(t.Context(), &portcullis.Identity{Issuer: issuer, Claims: people["ann1"].Claims}); !errors.Is(err, portcullis.ErrRevoked) {
				t.Errorf("%s: without iat: %v", tt.name, err)
			}
			s.issued = time.Now().Add(time.Second)
			if _, err := s.admit("ann1"); err != nil {
				t.Errorf("%s: a login of after the event: %v", tt.name, err)
			}
			s.live = nil
		}
	})
}

// R1, R4: whichever comes first, a session admitted while the SET is carried
// out ends.
func TestR4EmailRace(t *testing.T) {
	set := object{"sub_id": object{"format": "email", "email": "ann@example.com"}}
	for range 200 {
		s := newSite(t, ssf.Config{})
		token := good(set)
		done := make(chan *portcullis.Session)
		go func() {
			session, err := s.admit("ann1")
			if err != nil {
				session = nil
			}
			done <- session
		}()
		s.push(token)
		if session := <-done; session != nil && session.Err() == nil {
			t.Fatal("the session lives")
		}
	}
}

// R4: what could not be stored is not acknowledged, in whatever way the subject
// is named; nor is what can't be done at all.
func TestR4EmailFails(t *testing.T) {
	email := object{"sub_id": object{"format": "email", "email": "ann@example.com"}}
	s := newSite(t, ssf.Config{})
	s.err = errors.New("down")
	s.want(good(email), 503, "ann1 ann2")
	if _, err := s.admit("ann2"); !errors.Is(err, portcullis.ErrRevoked) {
		t.Errorf("err = %v", err)
	}
	r, err := ssf.New(ssf.Config{
		Issuer: issuer, Audience: audience, Keys: fixed{},
		Revoke:  func(context.Context, portcullis.Revocation) error { return nil },
		Recheck: func(func(*portcullis.Identity) bool) int { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	s = newSite(t, ssf.Config{})
	s.Receiver = r
	s.want(good(email), 400, "")
	s.want(good(with(email, object{"events": object{ssf.CredentialChange: object{}}})), 202, "")
}
