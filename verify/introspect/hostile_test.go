package introspect_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

// I1, I2: whatever a token system does instead of answering, it is not a no.
func TestI2WhatIsNotAnAnswer(t *testing.T) {
	yes := `{"active":true,"sub":"u"}`
	for _, tt := range []struct {
		name     string
		handler  http.HandlerFunc
		wantText string
	}{
		{"HTML with 200", reply(200, "text/html", "<html>Log in</html>"), "HTML"},
		{"yes as HTML", reply(200, "text/html", yes), "HTML"},
		{"yes as text", reply(200, "text/plain", yes), "Content-Type"},
		{"yes as signed answer", reply(200, "application/token-introspection+jwt", yes), "Content-Type"},
		{"yes with 201", reply(201, "application/json", yes), "status 201"},
		{"204", reply(204, "", ""), "status 204"},
		{"400", reply(400, "application/json", yes), "status 400"},
		{"our credentials refused, 401", reply(401, "application/json", `{"error":"invalid_client"}`), "our own credentials"},
		{"our credentials refused, 403", reply(403, "application/json", `{"active":false}`), "our own credentials"},
		{"404", reply(404, "application/json", `{"active":false}`), "status 404"},
		{"429", reply(429, "application/json", `{"active":false}`), "status 429"},
		{"500", reply(500, "application/json", `{"active":false}`), "status 500"},
		{"503", reply(503, "application/json", yes), "status 503"},
		{"too large", answer(`{"active":true,"x":"` + strings.Repeat("x", 300<<10) + `"}`), "larger"},
		{"a no that is too large", answer(`{"active":false,"x":"` + strings.Repeat("x", 300<<10) + `"}`), "larger"},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, yes)
		}, "compressed"},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "closed"},
		{"hung up in the body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, yes)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "closed"},
		{"redirect to itself", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusTemporaryRedirect) }, "redirect"},
		{"all it got, as type", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", string(body)+r.Header.Get("Authorization"))
			_, _ = io.WriteString(w, yes)
		}, "Content-Type"},
		{"all it got, as answer", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = r.Write(w)
		}, "not JSON"},
		{"all it got, instead of HTTP", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = conn.Write(append(body, r.Header.Get("Authorization")+"\r\n\r\n"...))
			_ = conn.Close()
		}, "HTTP"},
	} {
		for _, auth := range everyAuth {
			t.Run(tt.name+"/"+string(auth), func(t *testing.T) {
				_, err := verify(t, introspect.Config{Auth: auth}, tt.handler)
				checkError(t, err, portcullis.ErrUnavailable)
				if err != nil && !strings.Contains(err.Error(), tt.wantText) {
					t.Errorf("err = %v, want %q in it", err, tt.wantText)
				}
			})
		}
	}
}
