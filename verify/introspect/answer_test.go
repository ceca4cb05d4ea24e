package introspect_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

// I1: only true is a yes, only false is a no, all else is neither.
func TestI1ActiveMustBeBooleanTrue(t *testing.T) {
	for _, tt := range []struct {
		body string
		want error // nil: let in
	}{
		{`{"active":true}`, nil},
		{" {\n\t\"active\" : true\n} ", nil},
		{`{"Active":false,"active":true}`, nil}, // another name
		{`{"active":false}`, portcullis.ErrInvalid},
		{`{"active": false, "exp": "nonsense"}`, portcullis.ErrInvalid},
		{`{"active":"true"}`, portcullis.ErrUnavailable},
		{`{"active":"false"}`, portcullis.ErrUnavailable},
		{`{"active":1}`, portcullis.ErrUnavailable},
		{`{"active":null}`, portcullis.ErrUnavailable},
		{`{"active":[true]}`, portcullis.ErrUnavailable},
		{`{"active":{"active":true}}`, portcullis.ErrUnavailable},
		{`{"Active":true}`, portcullis.ErrUnavailable},
		{`{"ACTIVE":true,"sub":"u"}`, portcullis.ErrUnavailable},
		{`{"active\u0000":true}`, portcullis.ErrUnavailable},
		{`{"sub":"u"}`, portcullis.ErrUnavailable},
		{`{}`, portcullis.ErrUnavailable},
		{`{"active":true,"active":false}`, portcullis.ErrUnavailable},
		{`{"active":false,"active":true}`, portcullis.ErrUnavailable},
		{`{"active":true,"\u0061ctive":true}`, portcullis.ErrUnavailable},
		{`{"active":true} {"active":true}`, portcullis.ErrUnavailable},
		{`{"active":true}x`, portcullis.ErrUnavailable},
		{`{"active":true`, portcullis.ErrUnavailable},
		{"{\"active\":true,\"sub\":\"\xff\"}", portcullis.ErrUnavailable},
		{`[{"active":true}]`, portcullis.ErrUnavailable},
		{`true`, portcullis.ErrUnavailable},
		{`null`, portcullis.ErrUnavailable},
		{``, portcullis.ErrUnavailable},
		{`{"active":true,"sub":1}`, portcullis.ErrUnavailable},
		{`{"active":true,"exp":"2030-01-01"}`, portcullis.ErrUnavailable},
		{`{"active":true,"exp":-1}`, portcullis.ErrUnavailable},
		{`{"active":true,"exp":1e300}`, portcullis.ErrUnavailable},
		{`{"active":true,"nbf":"soon"}`, portcullis.ErrUnavailable},
		{`{"active":true,"nbf":1e300}`, portcullis.ErrUnavailable},
		{`{"active":true,"nbf":253402300799}`, portcullis.ErrInvalid},
		{`{"active":true,"nbf":1}`, nil},
		{`{"active":true,"nbf":null}`, nil},
	} {
		t.Run(tt.body, func(t *testing.T) {
			_, err := verify(t, introspect.Config{}, answer(tt.body))
			checkError(t, err, tt.want)
		})
	}
}

func TestIdentity(t *testing.T) {
	body := `{"active":true,"iss":"https://id.example.com","sub":"u1","sid":"s1","jti":"j1","client_id":"app",` +
		`"scope":"chat read","iat":1700000000,"exp":1800000000,"email":"ada@example.com"}`
	got, err := verify(t, introspect.Config{Issuer: "https://id.example.com"}, answer(body))
	if err != nil {
		t.Fatal(err)
	}
	want := &portcullis.Identity{
		Issuer: "https://id.example.com", Subject: "u1", SessionID: "s1", TokenID: "j1", ClientID: "app",
		Scopes: []string{"chat", "read"}, IssuedAt: time.Unix(1700000000, 0), ExpiresAt: time.Unix(1800000000, 0),
		Claims: []byte(body),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// J2, for tokens of several issuers at one endpoint; and revocations by issuer
// must find tokens whose answer names none.
func TestJ2Issuer(t *testing.T) {
	for _, tt := range []struct {
		name, configured, body string
		want                   string
		wantErr                error
	}{
		{"any", "", `{"active":true,"iss":"https://a"}`, "https://a", nil},
		{"none", "", `{"active":true}`, "", nil},
		{"right", "https://a", `{"active":true,"iss":"https://a"}`, "https://a", nil},
		{"filled in", "https://a", `{"active":true}`, "https://a", nil},
		{"null", "https://a", `{"active":true,"iss":null}`, "https://a", nil},
		{"wrong", "https://a", `{"active":true,"iss":"https://b"}`, "", portcullis.ErrInvalid},
		{"a slash more", "https://a", `{"active":true,"iss":"https://a/"}`, "", portcullis.ErrInvalid},
		{"not a string", "https://a", `{"active":true,"iss":["https://a"]}`, "", portcullis.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := verify(t, introspect.Config{Issuer: tt.configured}, answer(tt.body))
			checkError(t, err, tt.wantErr)
			if id != nil && id.Issuer != tt.want {
				t.Errorf("issuer %q, want %q", id.Issuer, tt.want)
			}
		})
	}
}

// FuzzAnswer: whatever JSON comes, nobody gets in unless a lenient parser, too,
// finds "active" true; and no value of the answer is lost.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"active":true,"sub":"u","exp":1800000000}`, `{"active":false}`, `{"active":"true"}`,
		`{"Active":true}`, `{"active":true,"active":false}`, `{"active":true,"nbf":9e9}`,
	} {
		f.Add([]byte(seed))
	}
	var body []byte
	server := &site{}
	server.set("https://id.example.com/", func(w http.ResponseWriter, r *http.Request) { answer(string(body))(w, r) })
	v, err := introspect.New(introspect.Config{
		URL: "https://id.example.com/", ClientID: clientID, ClientSecret: secret,
		Client: server.client(),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		body = raw
		id, err := v.Verify(t.Context(), token)
		if err != nil {
			checkError(t, err, err)
			return
		}
		var active bool
		if !id.Claim("active", &active) || !active {
			t.Errorf("let in by %q", raw)
		}
		if !bytes.Equal(id.Claims, raw) {
			t.Errorf("claims %q of %q", id.Claims, raw)
		}
	})
}
