package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
)

// From the list to the end of a socket, by the command line alone: one by its
// handle, one by its subject, and nobody else.
func TestR1OperatorEndsSockets(t *testing.T) {
	conf := write(t, "portcullis.yaml", fmt.Sprintf(`
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
verify: {name: staff, http_check: {url: %q}}
routes: [{path: /, backend: %q}]
`, lenient(t), echoes(t)))
	_, log := command(t, nil, "serve", "-c", conf)
	admin := "http://" + eventually(t, log, `"admin":"([0-9.:]+)"`)
	public := "ws://" + eventually(t, log, `"listen":"([0-9.:]+)"`)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	open := func(user, path string) echoing { return openEchoing(ctx, t, public+path, user) }
	closed := func(c echoing) {
		t.Helper()
		_, _, err := c.Read(ctx)
		if status := websocket.CloseStatus(err); status != 3003 || !strings.Contains(err.Error(), "session_revoked") {
			t.Errorf("%v, want Close 3003 session_revoked", err)
		}
	}
	said := ""
	ask := func(args ...string) string {
		t.Helper()
		status, out, log := typed(t, nil, append(args, "--admin", admin)...)
		if status != 0 {
			t.Fatalf("%v: status %d\n%s", args, status, log)
		}
		said += out + log
		return out
	}
	alice1, alice2, bob := open("alice", "/one"), open("alice", "/two"), open("bob", "/one")
	alice1.echoes()

	rows := regexp.MustCompile(`(?m)^(\S+) +socket +alice +/one +\S+ +\S+ +0 +staff +127\.0\.0\.1:\d+$`).FindAllStringSubmatch(ask("sessions"), -1)
	if len(rows) != 1 {
		t.Fatalf("alice isn't listed at /one:\n%s", said)
	}
	for filters, want := range map[string]int{"--sub alice": 2, "--sid login-bob": 1, "--path /t": 1, "--sub alice --path /one": 1, "--iss x": 0, "--client x": 0} {
		var list struct{ Sessions []portcullis.SessionInfo }
		if err := json.Unmarshal([]byte(ask(append([]string{"sessions", "--json"}, strings.Fields(filters)...)...)), &list); err != nil || len(list.Sessions) != want {
			t.Errorf("%s: %d sessions, %v; want %d", filters, len(list.Sessions), err, want)
		}
	}
	handle := rows[0][1]
	explained := regexp.MustCompile(`(?s)^session: +` + handle + `\nissuer: +not stated\nsubject: +"alice"\n.*\nIt is a socket: GET "/one" at .*\nIt lives because the token system "staff" vouched for its token at .*\nIf nothing else happens, it ends at .*\nIt has never been renewed\.\n$`)
	if got := ask("sessions", handle); !explained.MatchString(got) {
		t.Errorf("explained:\n%s", got)
	}
	var one portcullis.SessionInfo
	if err := json.Unmarshal([]byte(ask("sessions", handle, "--json")), &one); err != nil || one.Handle != handle || one.Subject != "alice" {
		t.Errorf("as JSON: %+v, %v", one, err)
	}

	if got, want := ask("revoke", "--session", handle), fmt.Sprintf("revoked: session %q; its token stays good\n", handle); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	closed(alice1)
	alice2.echoes()
	if got, want := ask("revoke", "--sub", "alice"), "revoked: sub \"alice\"; forgotten when the gateway stops\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	closed(alice2)
	bob.echoes()
	if got := ask("sessions", "--sub", "alice"); got != "no session\n" {
		t.Errorf("afterwards:\n%s", got)
	}
	if strings.Contains(said, "secret-of") {
		t.Errorf("a token was written:\n%s", said)
	}
}

// What is typed is what the API is asked, and no more.
func TestR1WhatRevokeSends(t *testing.T) {
	f, api := newFake(t, says(200, "application/json", `{"revoked":true,"durable":true}`))
	status, out, log := typed(t, nil, "revoke", "--sub", "u-1", "--sid", "s", "--jti", "j", "--iss", "https://id.example.com", "--client", "a\x1bb",
		"--issued-before", "2026-11-01T09:30:00Z", "--until", "2126-11-01T10:30:00+01:00", "--admin", api)
	want := []string{`POST /v1/revocations [] {"client_id":"a\u001bb","iss":"https://id.example.com","issued_before":"2026-11-01T09:30:00Z","jti":"j","sid":"s","sub":"u-1","until":"2126-11-01T10:30:00+01:00"}`}
	if diff := cmp.Diff(want, f.asked); status != 0 || diff != "" {
		t.Errorf("status %d, %s (-want +asked):\n%s", status, log, diff)
	}
	if want := `revoked: client_id "a\x1bb", iss "https://id.example.com", jti "j", sid "s", sub "u-1"; kept when the gateway stops` + "\n"; out != want {
		t.Errorf("%q, want %q", out, want)
	}
}
