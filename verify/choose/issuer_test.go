package choose_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
	"github.com/portcullis-auth/portcullis/verify/choose"
)

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// J4: the exact name, once, in the outermost object.
func TestJ4IssuerOf(t *testing.T) {
	for _, tt := range []struct{ name, payload, want string }{
		{"alone", `{"iss":"a"}`, "a"},
		{"last", `{"sub":"u1","n":[1,{"x":"iss"}],"iss":"a"}`, "a"},
		{"white space", "\t{ \"a\" : {} ,\r\n\"iss\" : \"a\" } ", "a"},
		{"escaped slashes", `{"iss":"https:\/\/id.example.com"}`, "https://id.example.com"},
		{"escaped name", `{"\u0069ss":"a"}`, "a"},
		{"quotation marks", `{"a\"iss":"b","iss":"\"\\"}`, `"\`},
		{"backslash at the end", `{"a":"\\","iss":"b"}`, "b"},
		{"colon in a string", `{"a":":","iss":":"}`, ":"},
		{"twice", `{"iss":"a","iss":"a"}`, ""},
		{"twice, once escaped", `{"iss":"a","\u0069ss":"b"}`, ""},
		{"twice, first empty", `{"iss":"","iss":"a"}`, ""},
		{"other case", `{"ISS":"a"}`, ""},
		{"inside", `{"x":{"iss":"a"}}`, ""},
		{"in an array", `{"x":["iss","a"]}`, ""},
		{"as a value", `{"x":"iss","y":"a"}`, ""},
		{"outermost array", `[{"iss":"a"}]`, ""},
		{"number", `{"iss":1}`, ""},
		{"null", `{"iss":null}`, ""},
		{"object", `{"iss":{"iss":"a"}}`, ""},
		{"array", `{"iss":["a"]}`, ""},
		{"string then number", `{"iss":"a","iss":1}`, ""},
		{"behind it", `{"iss":"a"}{}`, ""},
		{"cut", `{"iss":"a"`, ""},
		{"bad UTF-8", "{\"iss\":\"a\",\"b\":\"\xff\"}", ""},
		{"empty", ``, ""},
		{"blank", ` `, ""},
	} {
		if got := choose.IssuerOf(jws(tt.payload)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	payload := encode(`{"iss":"a"}`)
	for token, want := range map[string]string{
		"h." + payload + ".":               "a", // unsecured: its issuer's Verifier refuses it
		"h." + payload:                     "",
		payload:                            "",
		"." + payload + ".s.":              "",
		"h.k." + payload + ".c.t":          "",
		"h." + payload + ".c.t.a":          "", // JWE
		payload + ".h.s":                   "",
		"h." + payload + "=.s":             "",
		"h." + payload[:4] + "+AAA.s":      "",
		strings.Repeat(".", 1000):          "",
		"h." + encode(`{"iss":"ä"}`) + ".": "ä",
	} {
		if got := choose.IssuerOf(token); got != want {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
}

// J5: what is too long to be a token isn't looked into.
func TestJ5IssuerOfLongToken(t *testing.T) {
	const iss = `{"iss":"a"}`
	token := "." + encode(iss) + "."
	for fill, want := range map[int]string{16<<10 - len(token): "a", 16<<10 - len(token) + 1: ""} {
		if got := choose.IssuerOf(token + strings.Repeat("s", fill)); got != want {
			t.Errorf("%d bytes of signature: %q, want %q", fill, got, want)
		}
	}
}

// model is how issuer would be written if time did not matter: the claims that
// encoding/json finds one after the other.
func model(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 16<<10 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	if !bytes.Equal(bytes.ToValidUTF8(raw, nil), raw) || !json.Valid(raw) {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if first, _ := d.Token(); first != json.Delim('{') {
		return ""
	}
	var found []any
	for d.More() {
		name, _ := d.Token()
		var value any
		var raw json.RawMessage
		_ = d.Decode(&raw)
		_ = json.Unmarshal(raw, &value)
		if name == "iss" {
			found = append(found, value)
		}
	}
	if len(found) != 1 {
		return ""
	}
	iss, _ := found[0].(string)
	return iss
}

func FuzzIssuer(f *testing.F) {
	for _, payload := range []string{
		`{"iss":"a"}`, `{"\u0069ss":"\ud800"}`, `{"a":{"iss":"b"},"iss":"c"}`, `{"iss":"a","iss":"b"}`, `[]`, `"iss"`, `{"a":["iss"],"b":"iss"}`,
	} {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		for _, token := range []string{jws(payload), payload} {
			got := choose.IssuerOf(token)
			if want := model(token); got != want {
				t.Errorf("%q: %q, want %q", payload, got, want)
			}
		}
		// Whoever reads it strictly reads the same.
		if len(payload) > 10<<10 {
			return
		}
		if members, err := strictjson.Object([]byte(payload)); err == nil {
			var want string
			_ = json.Unmarshal(members["iss"], &want)
			if got := choose.IssuerOf(jws(payload)); got != want {
				t.Errorf("%q: %q, read strictly %q", payload, got, want)
			}
		}
	})
}

// The owner is the one that a simple search finds, whatever the lists are; and
// no error holds the token.
func TestOwnerAgreesWithASimpleSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ab]{1,4}`)
		prefixes := rapid.SliceOfNDistinct(word, 0, 6, rapid.ID).Draw(t, "prefixes")
		issuers := rapid.SliceOfNDistinct(word, 0, 4, rapid.ID).Draw(t, "issuers")
		n := rapid.IntRange(1, 4).Draw(t, "n")
		choices := make([]choose.Choice, n)
		var asked []int
		for i := range choices {
			choices[i].Name = fmt.Sprint("choice ", i)
			choices[i].Verifier = portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
				asked = append(asked, i)
				return nil, errInvalid
			})
		}
		for _, p := range prefixes {
			c := &choices[rapid.IntRange(0, n-1).Draw(t, "owner")]
			c.Prefixes = append(c.Prefixes, p)
		}
		for _, iss := range issuers {
			c := &choices[rapid.IntRange(0, n-1).Draw(t, "owner")]
			c.Issuers = append(c.Issuers, iss)
		}
		token := rapid.StringMatching(`[ab]{8,12}`).Draw(t, "token")
		if rapid.Bool().Draw(t, "signed") {
			token = token[:6] + "." + encode(fmt.Sprintf(`{"iss":%q}`, word.Draw(t, "iss"))) + "." + token[6:]
		}

		var want []int
		longest := 0
		for i, c := range choices {
			for _, p := range c.Prefixes {
				if strings.HasPrefix(token, p) && len(p) > longest {
					want, longest = []int{i}, len(p)
				}
			}
		}
		for i, c := range choices {
			if want == nil && slices.Contains(c.Issuers, model(token)) {
				want = []int{i}
			}
		}
		if want == nil {
			for i, c := range choices {
				if len(c.Prefixes) == 0 && len(c.Issuers) == 0 {
					want = append(want, i)
				}
			}
		}
		v, err := choose.New(choices...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(context.Background(), token)
		if !slices.Equal(asked, want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
		if err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("err = %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b,
		choice("a", nil, "a_"), choice("b", nil, "a_live_"), choice("c", nil, "b_"),
		issuerChoice("d", nil, "https://id.example.com"), choice("e", nil))
	claims := `{"iss":"https://id.example.com","sub":"u-17","aud":["chat","api"],"exp":1798761600,"iat":1798758000,"jti":"` +
		strings.Repeat("j", 24) + `","client_id":"app","scope":"openid profile chat","x":"` + strings.Repeat("x", 150) + `"}`
	signed := "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9." + encode(claims) + "." + strings.Repeat("s", 342)
	for _, bb := range []struct{ name, token string }{
		{"prefix", "a_live_" + strings.Repeat("x", 793)},
		{"issuer", signed},
		{"order", strings.Repeat("x", 800)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), bb.token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
