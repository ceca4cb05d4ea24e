package askhttp_test

import (
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

// I2: TLS or loopback.
func TestI2CheckURL(t *testing.T) {
	for _, tt := range []struct {
		url     string
		plain   bool
		wantErr string
	}{
		{"https://id.example.com/introspect", false, ""},
		{"HTTPS://id.example.com/introspect?tenant=1", false, ""},
		{"http://localhost:8080/x", false, ""},
		{"http://LocalHost/x", false, ""},
		{"http://127.0.0.1/x", false, ""},
		{"http://127.8.9.1/x", false, ""},
		{"http://[::1]:80/x", false, ""},
		{"http://id.example.com/x", false, "InsecurePlainHTTP"},
		{"http://localhost.example.com/x", false, "InsecurePlainHTTP"},
		{"http://127.0.0.1.example.com/x", false, "InsecurePlainHTTP"},
		{"http://10.0.0.1/x", false, "InsecurePlainHTTP"},
		{"http://0.0.0.0/x", false, "InsecurePlainHTTP"},
		{"http://id.example.com/x", true, ""},
		{"ftp://id.example.com/x", true, "https://host"},
		{"//id.example.com/x", true, "https://host"},
		{"/x", true, "https://host"},
		{"https:///x", true, "https://host"},
		{"https:x", true, "https://host"},
		{"", true, "missing"},
		{"https://user:hunter2@id.example.com/", false, "credentials"},
		{"https://id.example.com/#hunter2", false, "fragment"},
		{"https://id.example.com/%zz?hunter2", false, "parsed"},
	} {
		u, err := askhttp.CheckURL(tt.url, tt.plain)
		if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("CheckURL(%q, %v): err = %v, want %q", tt.url, tt.plain, err, tt.wantErr)
		}
		if err == nil && u.Host == "" {
			t.Errorf("CheckURL(%q): no host", tt.url)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("CheckURL(%q): the error quotes it: %v", tt.url, err)
		}
	}
}

// J5: before any work.
func TestJ5CheckToken(t *testing.T) {
	for _, tt := range []struct {
		name, token string
		ok          bool
	}{
		{"JWT", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln", true},
		{"every visible character", visible(), true},
		{"as long as may be", strings.Repeat("x", askhttp.MaxToken), true},
		{"longer", strings.Repeat("x", askhttp.MaxToken+1), false},
		{"empty", "", false},
		{"space", "a b", false},
		{"line feed at the end", "abc\n", false},
		{"header", "a\r\nX-Admin: 1", false},
		{"NUL", "a\x00", false},
		{"DEL", "a\x7f", false},
		{"not ASCII", "é", false},
		{"not UTF-8", "\xff", false},
	} {
		err := askhttp.CheckToken(tt.token)
		if (err == nil) != tt.ok {
			t.Errorf("%s: err = %v, want ok = %v", tt.name, err, tt.ok)
		}
	}
}

func visible() string {
	var b strings.Builder
	for c := byte('!'); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}
