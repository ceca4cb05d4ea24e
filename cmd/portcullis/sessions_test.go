package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
)

// Long lists are asked for in parts, and no more of them than is wanted.
func TestListInParts(t *testing.T) {
	page := func(n int, next string) string {
		list, _ := json.Marshal(map[string]any{"sessions": make([]portcullis.SessionInfo, n), "next": next})
		return string(list)
	}
	const first = "GET /v1/sessions?limit="
	for _, tt := range []struct {
		name, limit string
		pages       []string
		asked       []string
		n           int
		more        bool
	}{
		{"default", "", []string{page(3, "")}, []string{first + "100 []"}, 3, false},
		{"cut", "--limit 3", []string{page(3, "n")}, []string{first + "3 []"}, 3, true},
		{"all", "--limit 0", []string{page(1000, "n&1"), page(1000, "n2"), page(1, "")}, []string{first + "1000 []", "GET /v1/sessions?after=n%261&limit=1000 []", "GET /v1/sessions?after=n2&limit=1000 []"}, 2001, false},
		{"many", "--limit 1001", []string{page(1000, "n"), page(1, "m")}, []string{first + "1000 []", "GET /v1/sessions?after=n&limit=1 []"}, 1001, true},
		{"short pages", "--limit 5", []string{page(2, "n"), page(2, "")}, []string{first + "5 []", "GET /v1/sessions?after=n&limit=3 []"}, 4, false},
		{"without end", "--limit 0", []string{page(0, "n")}, []string{first + "1000 []"}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			f, api := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				says(200, "application/json", tt.pages[min(n, len(tt.pages)-1)])(w, r)
				n++
			})
			status, out, log := typed(t, nil, append(strings.Fields("sessions --json "+tt.limit), "--admin", api)...)
			var got struct{ Sessions []any }
			if err := json.Unmarshal([]byte(out), &got); status != 0 || err != nil || len(got.Sessions) != tt.n || (log != "") != tt.more {
				t.Errorf("status %d, %d sessions, %v, %q; want %d", status, len(got.Sessions), err, log, tt.n)
			}
			if diff := cmp.Diff(tt.asked, f.asked); diff != "" {
				t.Errorf("(-want +asked):\n%s", diff)
			}
		})
	}
}

// A handle is a handle, whatever it looks like.
func TestHandleIsOneSegment(t *testing.T) {
	f, api := newFake(t, says(200, "application/json", `{}`))
	typed(t, nil, "sessions", "../x?y#z", "--json", "--admin", api)
	if want := []string{"GET /v1/sessions/..%2Fx%3Fy%23z []"}; !cmp.Equal(f.asked, want) {
		t.Errorf("asked %q, want %q", f.asked, want)
	}
}

// Users choose paths and perhaps names; the operator's terminal obeys none.
func TestA1NothingForTheTerminal(t *testing.T) {
	evil := portcullis.SessionInfo{
		Handle: "X-1", Kind: "socket", Path: "/\t\x1b]0;x\a\u009b2J\u202e", Subject: "root  /\n", Remote: "far away",
		Verifier: strings.Repeat("é", 41), Scopes: []string{"\x1b[31m"},
	}
	list, _ := json.Marshal(map[string]any{"sessions": []any{evil}})
	one, _ := json.Marshal(struct {
		portcullis.SessionInfo
		Explanation []string `json:"explanation"`
	}{evil, []string{"It is \x1b[2J\n\x7f"}})
	_, api := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v1/sessions" {
			_, _ = w.Write(list)
		} else {
			_, _ = w.Write(one)
		}
	})
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"sessions", []string{`"/\t\x1b]0;x\a\u009b2J\u202e"`, `"root  /\n"`, `"far away"`, strings.Repeat("é", 39) + "…"}},
		{"sessions --json", []string{`"/\t\u001b]0;x\u0007\u009b2J\u202e"`, `"root  /\n"`}},
		{"sessions X-1", []string{`"root  /\n"`, `"\x1b[31m"`, `It is \u001b[2J\u000a\u007f`}},
		{"sessions X-1 --json", []string{`\u009b`, `\u001b[2J\n\u007f`}},
	} {
		_, out, _ := typed(t, nil, append(strings.Fields(tt.args), "--admin", api)...)
		if strings.ContainsAny(out, "\x1b\a\x7f\u009b\u202e\t") {
			t.Errorf("%s: %q", tt.args, out)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %s\nhasn't %s", tt.args, out, want)
			}
		}
	}
	_, out, _ := typed(t, nil, "sessions", "--json", "--admin", api)
	var got struct{ Sessions []portcullis.SessionInfo }
	if err := json.Unmarshal([]byte(out), &got); err != nil || !cmp.Equal(got.Sessions, []portcullis.SessionInfo{evil}) {
		t.Errorf("escaping changed it: %+v, %v", got, err)
	}
}
