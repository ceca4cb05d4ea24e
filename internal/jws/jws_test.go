package jws_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portcullis-auth/portcullis/internal/jws"
)

type object = map[string]any

// gone, as a value, removes the member.
var gone = new(int)

// header is a good one for EdDSA, with changes.
func header(with object) []byte {
	h := object{"alg": "EdDSA", "kid": "k", "typ": "at+jwt"}
	maps.Copy(h, with)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == gone })
	return marshal(h)
}

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// token is one with these parts.
func token(header, claims []byte, signature string) string {
	return encode(header) + "." + encode(claims) + "." + signature
}

var (
	claims = []byte(`{"sub":"SECRET","n":1}`)
	types  = []string{"at+jwt"}
	eddsa  = []string{"RS256", "EdDSA"}
)

func TestParse(t *testing.T) {
	got, err := jws.Parse(token(header(nil), claims, "c2ln"), eddsa, types)
	if err != nil {
		t.Fatal(err)
	}
	want := &jws.Token{
		Algorithm: "EdDSA", Type: "at+jwt", KeyID: "k", Payload: claims,
		Claims: map[string]json.RawMessage{"sub": []byte(`"SECRET"`), "n": []byte("1")},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(jws.Token{})); diff != "" {
		t.Error(diff)
	}
}

// J1 to J5: what Parse refuses, and why.
func TestParseRefuses(t *testing.T) {
	with := func(h object) string { return token(header(h), claims, "c2ln") }
	raw := func(h, c string) string { return token([]byte(h), []byte(c), "c2ln") }
	good := string(header(nil))
	h, c := encode(header(nil)), encode(claims)
	for _, tt := range []struct{ name, token, want string }{
		{"good", with(nil), ""},
		{"J1 none", with(object{"alg": "none"}), `header: "alg"`},
		{"J1 symmetric", with(object{"alg": "HS256"}), `header: "alg"`},
		{"J1 not in the list", with(object{"alg": "ES256"}), `header: "alg"`},
		{"J1 another of the list", with(object{"alg": "RS256"}), ""},
		{"J1 another case", with(object{"alg": "eddsa"}), `header: "alg"`},
		{"J1 no alg", with(object{"alg": gone}), `header: "alg"`},
		{"J1 alg empty", with(object{"alg": ""}), `header: "alg"`},
		{"J1 alg null", with(object{"alg": nil}), `header: "alg"`},
		{"J1 alg a list", with(object{"alg": eddsa}), `header: "alg"`},
		{"J1 alg escaped", raw(strings.Replace(good, "EdDSA", `Ed\u0044SA`, 1), "{}"), ""},
		{"J1 the name of RFC 9864", with(object{"alg": "Ed25519"}), ""},
		{"J1 the other name of RFC 9864", with(object{"alg": "Ed448"}), `header: "alg"`},

		{"J2 typ in full, in capitals", with(object{"typ": "APPLICATION/AT+JWT"}), ""},
		{"J2 another typ", with(object{"typ": "logout+jwt"}), "not an accepted type"},
		{"J2 typ longer", with(object{"typ": "at+jwt;x"}), "not an accepted type"},
		{"J2 no typ", with(object{"typ": gone}), "not an accepted type"},
		{"J2 typ empty", with(object{"typ": ""}), `"typ" is not a type`},
		{"J2 typ only a prefix", with(object{"typ": "application/"}), `"typ" is not a type`},
		{"J2 typ null", with(object{"typ": nil}), `"typ" is not a type`},
		{"J2 typ a number", with(object{"typ": 1}), `"typ" is not a type`},
		{"J2 typ under another name", with(object{"typ": gone, "Typ": "at+jwt"}), "not an accepted type"},

		{"J3 no kid", with(object{"kid": gone}), ""},
		{"J3 kid empty", with(object{"kid": ""}), `header: "kid"`},
		{"J3 kid null", with(object{"kid": nil}), `header: "kid"`},
		{"J3 kid a number", with(object{"kid": 1}), `header: "kid"`},
		{"J3 kid long", with(object{"kid": strings.Repeat("k", 512)}), ""},
		{"J3 kid too long", with(object{"kid": strings.Repeat("k", 513)}), `header: "kid"`},
		{"J3 keys in the header", with(object{"jku": "https://a", "x5u": "https://a", "jwk": object{}, "x5c": "x"}), ""},

		{"J4 header twice", raw(good+good, "{}"), "header: data behind"},
		{"J4 header an array", raw("[]", "{}"), "header: not a JSON object"},
		{"J4 a member twice", raw(`{"alg":"none",`+good[1:], "{}"), "header: duplicate"},
		{"J4 claims twice", raw(good, "{}{}"), "claims: data behind"},
		{"J4 a claim twice", raw(good, `{"a":1,"a":1}`), "claims: duplicate"},
		{"J4 claims text", raw(good, `"x"`), "claims: not a JSON object"},
		{"J4 claims not UTF-8", raw(good, "{\"a\":\"\xff\"}"), "claims: not valid UTF-8"},

		{"J5 crit", with(object{"crit": []string{"exp"}}), `it has "crit"`},
		{"J5 crit null", with(object{"crit": nil}), `it has "crit"`},
		{"J5 b64", with(object{"b64": true}), `it has "b64"`},
		{"J5 enc", with(object{"enc": "A256GCM"}), `it has "enc"`},
		{"J5 zip", with(object{"zip": "DEF"}), `it has "zip"`},
		{"J5 empty", "", "three parts"},
		{"J5 one part", h, "three parts"},
		{"J5 two parts", h + "." + c, "three parts"},
		{"J5 four parts", h + "." + c + ".c2ln.", "three parts"},
		{"J5 JWE", h + ".." + c + "." + c + "." + c, "three parts"},
		{"J5 no header", "." + c + ".c2ln", "three parts"},
		{"J5 no claims", h + "..c2ln", "three parts"},
		{"J5 no signature", h + "." + c + ".", "three parts"},
		{"header padded", h + "=." + c + ".c2ln", "header: not base64url"},
		{"claims padded", h + "." + c + "=.c2ln", "claims: not base64url"},
		{"signature padded", h + "." + c + ".c2k=", "signature: not base64url"},
		{"signature in the other alphabet", h + "." + c + ".c2+/", "signature: not base64url"},
		{"signature's idle bits set", h + "." + c + ".c2l", "signature: not base64url"},
		{"line feed in the signature", h + "." + c + ".c2\nln", "signature: not base64url"},
		{"carriage return in the header", "\r" + h + "." + c + ".c2ln", "header: not base64url"},
		{"line feed in the claims", h + "." + c[:4] + "\n" + c[4:] + ".c2ln", "claims: not base64url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := jws.Parse(tt.token, eddsa, types)
			if (got == nil) == (err == nil) {
				t.Fatalf("token %v and error %v", got, err)
			}
			switch {
			case err == nil && tt.want != "":
				t.Errorf("accepted, want %q", tt.want)
			case err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("err = %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "SECRET"):
				t.Errorf("the error holds a part of the token: %v", err)
			}
		})
	}
}

// J2: "" in the list stands for no type, and for nothing else.
func TestJ2NoType(t *testing.T) {
	for typ, want := range map[any]bool{gone: true, "": false, nil: false, "application/": false, "JWT": false, "logout+jwt": true} {
		_, err := jws.Parse(token(header(object{"typ": typ}), claims, "c2ln"), eddsa, []string{"", "logout+jwt"})
		if (err == nil) != want {
			t.Errorf("%v: err = %v", typ, err)
		}
	}
}

// J2: the audience, to the letter.
func TestJ2Audience(t *testing.T) {
	for _, tt := range []struct {
		claims string
		want   bool
	}{
		{`{"aud":"us"}`, true},
		{`{"aud":"u\u0073"}`, true},
		{`{"aud":"too"}`, true},
		{`{"aud":["x","us"]}`, true},
		{`{"aud": [ "us" , "x" ] }`, true},
		{`{"aud":"x"}`, false},
		{`{"aud":"US"}`, false},
		{`{"aud":"us too"}`, false},
		{`{"aud":["x"]}`, false},
		{`{"aud":[]}`, false},
		{`{"aud":["us",1]}`, false},
		{`{"aud":[null,"us"]}`, false},
		{`{"aud":[["us"]]}`, false},
		{`{"aud":{"us":true}}`, false},
		{`{"aud":null}`, false},
		{`{"aud":1}`, false},
		{`{"Aud":"us"}`, false},
		{`{}`, false},
	} {
		parsed, err := jws.Parse(token(header(nil), []byte(tt.claims), "c2ln"), eddsa, types)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.For("us", "too"); got != tt.want {
			t.Errorf("%s: %v", tt.claims, got)
		}
		if parsed.For() {
			t.Errorf("%s is for nobody", tt.claims)
		}
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct {
		raw, want string
		ok        bool
	}{
		{`"x"`, "x", true},
		{`""`, "", true},
		{`"\u0078\"\\"`, `x"\`, true},
		{``, "", false},
		{`null`, "", false},
		{`1`, "", false},
		{`["x"]`, "", false},
		{`{"x":"y"}`, "", false},
	} {
		if got, ok := jws.Text(json.RawMessage(tt.raw)); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %v", tt.raw, got, ok)
		}
	}
}

// FuzzParse: what is accepted, go-jose reads too, and as the same.
func FuzzParse(f *testing.F) {
	f.Add(token(header(nil), claims, "c2ln"))
	f.Add(token(header(object{"alg": "RS256", "kid": gone, "typ": "application/AT+jwt"}), claims, "c2ln"))
	f.Add(token(header(object{"crit": []string{"b64"}, "b64": false}), claims, "c2ln"))
	f.Add("...")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := jws.Parse(in, eddsa, types)
		if err != nil {
			return
		}
		for _, part := range strings.Split(in, ".") {
			if raw, err := base64.RawURLEncoding.DecodeString(part); err != nil || encode(raw) != part {
				t.Errorf("accepted a second spelling: %q", in)
			}
		}
		want, err := jose.ParseSignedCompact(in, []jose.SignatureAlgorithm{"RS256", "EdDSA", "Ed25519"})
		if err != nil {
			// go-jose reads members that we don't look at.
			var h map[string]json.RawMessage
			raw, _ := base64.RawURLEncoding.DecodeString(in[:strings.IndexByte(in, '.')])
			_ = json.Unmarshal(raw, &h)
			maps.DeleteFunc(h, func(name string, _ json.RawMessage) bool { return name == "alg" || name == "kid" || name == "typ" })
			if len(h) == 0 {
				t.Fatalf("accepted what go-jose refuses (%v): %q", err, in)
			}
			return
		}
		head := want.Signatures[0].Protected
		if jws.CommonName(head.Algorithm) != got.Algorithm || head.KeyID != got.KeyID || !bytes.Equal(want.UnsafePayloadWithoutVerification(), got.Payload) {
			t.Errorf("%+v, want %+v", got, head)
		}
	})
}
