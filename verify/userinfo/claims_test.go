package userinfo_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

// J4: userinfo adds to what a token says, and cannot change what a token is.
func TestJ4Claims(t *testing.T) {
	for _, tt := range []struct{ name, token, user, want string }{
		{"added", `{"sub":"u1","iss":"a"}`, `{"sub":"u1","name":"Ada"}`, `{"iss":"a","name":"Ada","sub":"u1"}`},
		{"user wins", `{"name":"?","n":{"a":1}}`, `{"sub":"u1","name":"Ada","n":{"b":2}}`, `{"n":{"b":2},"name":"Ada"}`},
		{
			"token's stay", `{"sub":"u1","exp":2,"scope":"a","client_id":"c","cnf":{"jkt":"x"}}`,
			`{"sub":"u1","exp":9,"scope":"a admin","client_id":"d","cnf":{},"iss":"z"}`,
			`{"client_id":"c","cnf":{"jkt":"x"},"exp":2,"scope":"a","sub":"u1"}`,
		},
		{"other spellings", `{"exp":2}`, `{"sub":"u1","EXP":9,"Scope":"admin","\u017fcope":"admin","\u0065xp":9,"aCt":{},"x":1}`, `{"exp":2,"x":1}`},
		{"absent stays absent", `{}`, `{"sub":"u1","iss":"z","exp":9,"sid":"s","jti":"j","acr":"high","authorization_details":[],"active":true}`, `{}`},
		{"no claims", ``, `{"sub":"u1","name":"Ada"}`, `{"name":"Ada"}`},
		{"text as it stands", `{"a":"<\u2028>"}`, `{"sub":"u1","b":"&<","c":"\ud800","d": 1.50 }`, `{"a":"<\u2028>","b":"&<","c":"\ud800","d":1.50}`},
		{"token's duplicates", `{"a":1,"a":2}`, `{"sub":"u1"}`, ""},
		{"token's nonsense", `null`, `{"sub":"u1"}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, userinfo.Config{
				Verifier: always(&portcullis.Identity{Subject: "u1", Claims: []byte(tt.token)}), Client: answer(tt.user).client(),
			})
			id, err := verify(t, v)
			if tt.want == "" {
				checkError(t, err, portcullis.ErrUnavailable)
				return
			}
			checkError(t, err, nil)
			if id != nil && string(id.Claims) != tt.want {
				t.Errorf("claims %s, want %s", id.Claims, tt.want)
			}
		})
	}
}

// J4: whatever the endpoint answers, the protocol claims are the token's, byte
// for byte, and the whole is strict JSON of bounded size, with nothing in it
// that neither said.
func FuzzJ4Claims(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"sub":"u1","exp":1800000000,"scope":"a"}`, `{"sub":"u1","name":"Ada","exp":1}`},
		{`{"name":"?"}`, `{"sub":"u1","Exp":9,"\u017fub":"u2","n":{"exp":1}}`},
		{``, `{"sub":17}`},
		{`{"a":"\ud800"}`, `{"sub":"u1","\ufffd":"<","a":null,"aud":[]}`},
		{`{"a":1}`, `{"sub":"u1","x":"` + strings.Repeat("x", 1000) + `"} `},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]), true)
		f.Add([]byte(seed[0]), []byte(seed[1]), false)
	}
	f.Fuzz(func(t *testing.T, token, body []byte, named bool) {
		user, err := userinfo.Read(body, "u1", named)
		if err != nil {
			return
		}
		said, err := strictjson.Object(body)
		if err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		if sub, ok := said["sub"]; named && (!ok || !bytes.Equal(decode(t, sub), []byte("u1"))) {
			t.Fatalf("accepted for u1: %s", body)
		}
		claims, err := userinfo.Merge(token, user)
		if err != nil {
			return
		}
		all, err := strictjson.Object(claims)
		if err != nil || len(claims) > askhttp.MaxAnswer {
			t.Fatalf("%d bytes: %v: %q", len(claims), err, claims)
		}
		before, _ := strictjson.Object(token) // nil: it says nothing
		for name, value := range all {
			own, had := before[name]
			_, added := said[name]
			switch {
			case userinfo.IsProtocol(name) && !had:
				t.Errorf("%q came from userinfo", name)
			case userinfo.IsProtocol(name) || !added:
				if !same(own, value) {
					t.Errorf("%q is %s, but the token says %s", name, value, own)
				}
			case !same(said[name], value):
				t.Errorf("%q is %s, but userinfo says %s", name, value, said[name])
			}
		}
		for name := range before {
			if _, ok := all[name]; !ok {
				t.Errorf("%q is lost", name)
			}
		}
		// What rules and revocations go by reads the same.
		if id, err := portcullis.ParseClaims(token); err == nil {
			got, err := portcullis.ParseClaims(claims)
			if err != nil || got.Subject != id.Subject || !got.ExpiresAt.Equal(id.ExpiresAt) || got.HasScope("admin") != id.HasScope("admin") {
				t.Errorf("%+v became %+v, %v", id, got, err)
			}
		}
	})
}

func decode(t *testing.T, raw json.RawMessage) []byte {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Errorf("a subject that is no text: %s", raw)
	}
	return []byte(s)
}

// same reports whether two values are the same text, white space aside.
func same(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
