package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typed runs a command line and returns its status, and what it wrote.
func typed(t *testing.T, env map[string]string, args ...string) (status int, out, log string) {
	t.Helper()
	var o, e output
	status = exit(t.Context(), append([]string{"portcullis"}, args...), system{strings.NewReader(""), &o, &e, func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}})
	return status, o.String(), e.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A fake is somebody where the admin API is thought to be.
type fake struct {
	asked  []string // method, target, key and body of each call
	answer func(w http.ResponseWriter, r *http.Request)
}

func newFake(t *testing.T, answer http.HandlerFunc) (*fake, string) {
	f := &fake{answer: answer}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.asked = append(f.asked, strings.TrimSpace(fmt.Sprintf("%s %s [%s] %s", r.Method, r.RequestURI, r.Header.Get("Authorization"), body)))
		f.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return f, s.URL
}

func says(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// The key comes from one place, and goes to one.
func TestA2WhereTheKeyIs(t *testing.T) {
	const fileKey, envKey = "the-key-in-the-file", "the-key-in-the-environment"
	f, api := newFake(t, says(200, "application/json", `{"sessions":[]}`))
	host := strings.TrimPrefix(api, "http://")
	_, port, _ := strings.Cut(host, ":")
	keyFile := write(t, "key", fileKey+"\r\n")
	conf := func(admin string) string {
		return write(t, "portcullis.yaml", "admin: {"+admin+"}\nverify: {http_check: {url: \"https://id.example.com/me\"}}\nroutes: [{path: /, backend: \"http://127.0.0.1:9000\"}]\n")
	}
	for _, tt := range []struct {
		name, args, env, want string
	}{
		{"none", "--admin " + api, "", "[]"},
		{"slash behind the URL", "--admin " + api + "/", "", "[]"},
		{"environment", "--admin " + api, envKey, "[Bearer " + envKey + "]"},
		{"file", "--admin " + api + " --key-file " + keyFile, envKey, "[Bearer " + fileKey + "]"},
		{"configuration, with a file", "-c " + conf("listen: '"+host+"', key_file: "+keyFile), envKey, "[Bearer " + fileKey + "]"},
		{"configuration, with the environment", "-c " + conf("listen: '"+host+"', key_env: "+keyEnv), envKey, "[Bearer " + envKey + "]"},
		{"configuration without key", "-c " + conf("listen: '"+host+"'"), envKey, "[]"},
		{"every address", "-c " + conf("listen: ':"+port+"', key_file: "+keyFile), "", "[Bearer " + fileKey + "]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.asked = nil
			env := map[string]string{}
			if tt.env != "" {
				env[keyEnv] = tt.env
			}
			status, _, log := typed(t, env, append([]string{"sessions"}, strings.Fields(tt.args)...)...)
			if want := []string{"GET /v1/sessions?limit=100 " + tt.want}; status != 0 || !cmp.Equal(f.asked, want) {
				t.Errorf("status %d, asked %q, want %q\n%s", status, f.asked, want, log)
			}
		})
	}
	for listen, want := range map[string]string{"0.0.0.0:8081": "http://127.0.0.1:8081", "[::]:8081": "http://[::1]:8081", "gate.example.com:8081": "http://gate.example.com:8081"} {
		if base, _, err := configuredAdmin(conf("listen: '"+listen+"', key_file: "+keyFile), system{}); err != nil || base != want {
			t.Errorf("%s: %s, %v; want %s", listen, base, err, want)
		}
	}
}

// Whoever answers, a stranger too, gets the key at most once, and nothing of
// what it says reaches the terminal that this would obey.
func TestA2WhoeverAnswers(t *testing.T) {
	elsewhere, url := newFake(t, says(200, "application/json", `{"sessions":[]}`))
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"a page", says(200, "text/html", "<html>"), "but not as a gateway's admin API"},
		{"JSON by name only", says(200, "application/json", "<html>"), "but not as a gateway's admin API"},
		{"a list by chance", says(200, "text/html", `{"sessions":[]}`), "but not as a gateway's admin API"},
		{"another type", says(200, "application/json", `{"sessions":7}`), "but not as a gateway's admin API"},
		{"another API", says(404, "application/json", `{"error":"x"}`), "(status 404), but not as"},
		{"an empty answer", says(204, "", ""), "(status 204), but not as"},
		{"a broken problem", says(500, "application/problem+json", `{`), "(status 500), but not as"},
		{"elsewhere", http.RedirectHandler(url, http.StatusTemporaryRedirect).ServeHTTP, "(status 307), but not as"},
		{"a problem", says(503, "application/problem+json", `{"detail":"try \u001b[2J\u009b2J\u202eagain\n\ud83d\ude00"}`), `the gateway refuses: try \u001b[2J\u009b2J\u202eagain\u000a😀`},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for i, part := 0, make([]byte, 1<<20); i <= maxAnswer>>20; i++ {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}, "the answer is larger than"},
		{"a torn answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, "reading the answer of"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, api := newFake(t, tt.answer)
			status, out, log := typed(t, map[string]string{keyEnv: "the-key-of-the-house"}, "sessions", "--admin", api)
			if status != 1 || out != "" || !strings.Contains(log, tt.want) || strings.Contains(log, "the-key") {
				t.Errorf("status %d, %q, %q; want %s", status, out, log, tt.want)
			}
		})
	}
	if elsewhere.asked != nil {
		t.Errorf("a redirect was followed: %q", elsewhere.asked)
	}
	_, api := newFake(t, says(200, "application/json", `{"revoked":false,"durable":true}`))
	if status, _, log := typed(t, nil, "revoke", "--sub", "u-1", "--admin", api); status != 1 || !strings.Contains(log, "doesn't say that it is done") {
		t.Errorf("not revoked: status %d, %s", status, log)
	}
}
