package httpcheck_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/httpcheck"
)

// J4: fields are found by exact names, at any depth, or not at all.
func TestJ4Pointers(t *testing.T) {
	const deep = `{"data":{"user":{"id":17,"":"empty"},"list":["a",["b"]],"a/b":"slash","m~n":"tilde","~1":"both","none":null},
		"01":"x","/":"root","/data/user/id":"no"}`
	for _, tt := range []struct{ name, want, wantErr string }{
		{"/data/user/id", "17", ""},
		{"/data/user/", "empty", ""},
		{"/data/list/0", "a", ""},
		{"/data/list/1/0", "b", ""},
		{"/data/a~1b", "slash", ""},
		{"/data/m~0n", "tilde", ""},
		{"/data/~01", "both", ""},
		{"/01", "x", ""},
		{"/~1", "root", ""},
		{"data", "", "not a string"},
		{"data.user.id", "", "names no user"},
		{"/", "", "names no user"},
		{"/Data/user/id", "", "names no user"},
		{"/data/user/ID", "", "names no user"},
		{"/data/none", "", "names no user"},
		{"/data/none/id", "", "names no user"},
		{"/data/nobody/id", "", "names no user"},
		{"/data/list/2", "", "names no user"},
		{"/data/list/-", "", "names no user"},
		{"/data/list/-1", "", "names no user"},
		{"/data/list/00", "", "names no user"},
		{"/data/list/+0", "", "names no user"},
		{"/data/list/99999999999999999999", "", "names no user"},
		{"/data/user", "", "not a string"},
		{"/data/a~1b/id", "", "on the way"},
		{"/data/user/id/x", "", "on the way"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := verify(t, httpcheck.Config{Subject: tt.name}, answer(deep))
			if tt.wantErr == "" {
				checkError(t, err, nil)
				if id != nil && id.Subject != tt.want {
					t.Errorf("subject %q, want %q", id.Subject, tt.want)
				}
				return
			}
			checkError(t, err, portcullis.ErrUnavailable)
			if err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("err = %v, want %q in it", err, tt.wantErr)
			}
		})
	}
}

func TestNestedIdentity(t *testing.T) {
	const body = `{"ok":{"now":true},"data":{"user":{"id":"u1","roles":["a","b"]},"token":{"until":1800000000,"from":"2023-11-14T22:13:20Z","id":"t1"},
		"login":[{"id":"s1"}],"app":{"id":"web"}}}`
	got, err := verify(t, httpcheck.Config{
		Valid: "/ok/now", Subject: "/data/user/id", Scopes: "/data/user/roles", Expiry: "/data/token/until", IssuedAt: "/data/token/from",
		TokenID: "/data/token/id", SessionID: "/data/login/0/id", ClientID: "/data/app/id",
	}, answer(body))
	if err != nil {
		t.Fatal(err)
	}
	want := &portcullis.Identity{
		Subject: "u1", Scopes: []string{"a", "b"}, TokenID: "t1", SessionID: "s1", ClientID: "web",
		ExpiresAt: time.Unix(1800000000, 0), IssuedAt: time.Unix(1700000000, 0), Claims: []byte(body),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// I1: only the boolean lets anybody in, and only the boolean is a no.
func TestI1Valid(t *testing.T) {
	for _, tt := range []struct {
		name, field, body string
		want              error
	}{
		{"true", "valid", `{"valid":true,"sub":"u1"}`, nil},
		{"false", "valid", `{"valid":false}`, portcullis.ErrInvalid},
		{"false, with a user", "valid", `{"valid":false,"sub":"u1"}`, portcullis.ErrInvalid},
		{"nested false", "/token/valid", `{"token":{"valid":false},"valid":true,"sub":"u1"}`, portcullis.ErrInvalid},
		{"nested true", "/token/valid", `{"token":{"valid":true},"valid":false,"sub":"u1"}`, nil},
		{"missing", "valid", `{"sub":"u1"}`, portcullis.ErrUnavailable},
		{"null", "valid", `{"valid":null,"sub":"u1"}`, portcullis.ErrUnavailable},
		{"text", "valid", `{"valid":"true","sub":"u1"}`, portcullis.ErrUnavailable},
		{"text false", "valid", `{"valid":"false","sub":"u1"}`, portcullis.ErrUnavailable},
		{"number", "valid", `{"valid":1,"sub":"u1"}`, portcullis.ErrUnavailable},
		{"another case", "valid", `{"Valid":true,"sub":"u1"}`, portcullis.ErrUnavailable},
		{"both", "valid", `{"valid":true,"valid":false,"sub":"u1"}`, portcullis.ErrUnavailable},
		{"way blocked", "/token/valid", `{"token":true,"sub":"u1"}`, portcullis.ErrUnavailable},
		{"not configured", "", `{"valid":false,"sub":"u1"}`, nil},
		{"nobody", "valid", `{"valid":true}`, portcullis.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verify(t, httpcheck.Config{Valid: tt.field}, answer(tt.body))
			checkError(t, err, tt.want)
		})
	}
}
