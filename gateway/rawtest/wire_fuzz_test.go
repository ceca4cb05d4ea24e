package rawtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzWire holds the gateway to this, for any bytes on one connection: each
// request that reaches the backend is the next one that the strict reader reads
// from these bytes, with its target, Host, fields and body; what the strict
// reader refuses doesn't reach it, nor does anything behind that; and what isn't
// public has brought the token.
func FuzzWire(f *testing.F) {
	for _, s := range suites {
		for _, r := range s {
			f.Add([]byte(r.bytes()))
		}
	}
	h := open(f, twoRoutes)
	h.refusal = 300 * time.Millisecond // else one that waits would cost 20 s
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) > 1<<16 {
			return
		}
		h.TB = t
		h.check(string(sent) + last)
	})
}

// check makes the exchange and holds it to what FuzzWire says. It returns the
// statuses and what reached the backend, for those who expect more.
func (h *house) check(sent string) (answers []*answer, asked []*request) {
	h.Helper()
	want, wantErr := read(sent, lenient...)
	answers, err := h.exchange(sent, want, wantErr)
	asked, unread := h.backend.take()
	if err != nil {
		h.Errorf("%v; the strict reader reads %d and ends with %v", err, len(want), wantErr)
	}
	for _, err := range unread {
		h.Errorf("the backend got what a strict reader doesn't read: %v", err)
	}
	left := asked
	var broken *bodyError
	_ = errors.As(wantErr, &broken)
	for i, a := range answers {
		switch {
		case i == len(want) && broken != nil && strings.HasPrefix(broken.head.target, early): // it was early enough
		case i >= len(want) && (a.status == reached || i > len(want)):
			h.Errorf("answer %d is %d, but the strict reader reads only %d requests, and ends with %v", i, a.status, len(want), wantErr)
		case i >= len(want):
		case a.status != reached:
			if a.status >= 500 && a.status != http.StatusNotImplemented && a.status != http.StatusHTTPVersionNotSupported {
				h.Errorf("answer %d is %d", i, a.status)
			}
		case strings.HasPrefix(want[i].target, early):
		case len(left) == 0:
			h.Errorf("answer %d is %d, but nobody asked the backend", i, a.status)
		default:
			h.same(want[i], left[0])
			left = left[1:]
		}
	}
	for _, q := range left {
		h.Errorf("the backend was asked %s %q, by nobody", q.method, q.target)
	}
	if h.Failed() {
		h.Logf("sent:\n%q", sent)
	}
	return answers, asked
}

// same wants the request at the backend to be that of the client.
func (h *house) same(want, got *request) {
	h.Helper()
	if got.method != want.method || got.target != withoutToken(want.target) {
		h.Errorf("the backend got %s %q, want %s %q", got.method, got.target, want.method, withoutToken(want.target))
	}
	if g, w := all(got.fields, "Host"), all(want.fields, "Host"); !slices.Equal(g, w) {
		h.Errorf("the backend got the Host %q, want %q", g, w)
	}
	if !bytes.Equal(got.body, want.body) {
		h.Errorf("the backend got the body %q, want %q", got.body, want.body)
	}
	if diff := cmp.Diff(endToEnd(want.fields), endToEnd(got.fields)); diff != "" {
		h.Errorf("fields (-client +backend):\n%s", diff)
	}
	if !got.upgrades && want.upgrades || got.upgrades && !want.upgrades {
		h.Errorf("a handshake: %v, want %v", got.upgrades, want.upgrades)
	}
	for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization"} {
		if v := all(got.fields, name); v != nil {
			h.Errorf("the backend got %s: %q, which concerns the client's connection", name, v)
		}
	}
	path, _, _ := strings.Cut(got.target, "?")
	public := strings.HasPrefix(decoded(path), "/public/")
	if raw := decoded(want.raw); !public && !strings.Contains(raw, token) && !strings.Contains(raw, encoded()) {
		h.Errorf("the backend was asked %q without a token", got.target)
	}
	if strings.Contains(got.raw, token) && strings.Count(want.raw, token) == 1 {
		h.Errorf("the backend got the token:\n%s", got.raw)
	}
	h.ours(got, public)
}

// ours wants the fields that are the gateway's alone to say what it says.
func (h *house) ours(got *request, public bool) {
	h.Helper()
	for _, f := range got.fields {
		alias := plain(f.name)
		if !isOurs(alias) {
			continue
		}
		ok := false
		switch f.name {
		case "X-Forwarded-For":
			ok = f.value == "127.0.0.1"
		case "X-Forwarded-Host":
			ok = f.value == strings.Join(all(got.fields, "Host"), "")
		case "X-Forwarded-Proto":
			ok = f.value == "http"
		case "X-Forwarded-User":
			ok = !public && f.value == subject
		case "X-Portcullis-Userinfo":
			ok = !public && f.value == `{"sub":"`+subject+`"}`
		}
		if !ok || len(all(got.fields, f.name)) > 1 {
			h.Errorf("the backend got %s: %q", f.name, f.value)
		}
	}
}

func isOurs(alias string) bool {
	return strings.HasPrefix(alias, "x-forwarded") || strings.HasPrefix(alias, "x-original-") || strings.HasPrefix(alias, "x-portcullis-") ||
		alias == "forwarded" || alias == "x-real-ip" || alias == "x-rewrite-url"
}

// plain is what the least careful reader makes of a name.
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

// endToEnd returns the fields that go from the client to the backend as they are,
// by name: those of one connection are gone, and those that carry tokens, those
// that frame and those that are ours have checks of their own.
func endToEnd(fields []field) map[string][]string {
	connection := strings.Join(all(fields, "Connection"), ",")
	m := make(map[string][]string)
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.name)
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Upgrade", "Te", "Proxy-Connection", "Keep-Alive",
			"Proxy-Authenticate", "Proxy-Authorization", "Authorization", "Cookie", "Sec-Websocket-Protocol":
			continue
		case "Cache-Control", "Pragma": // net/http adds no-cache to the first where the second says so
			continue
		}
		if !isOurs(plain(f.name)) && !hasToken(connection, f.name) {
			m[name] = append(m[name], f.value)
		}
	}
	return m
}

// withoutToken returns the target without the parameters that are tokens.
func withoutToken(target string) string {
	path, query, ok := strings.Cut(target, "?")
	if !ok {
		return target
	}
	took := false
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		k, _, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(k); err == nil && key == "token" {
			took = true
			continue
		}
		kept = append(kept, pair)
	}
	if query = strings.Join(kept, "&"); took && query == "" {
		return path
	}
	return path + "?" + query
}

func decoded(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// A row is what a client sends, and what comes of it.
type row struct {
	name string
	send string // without the last request; TOKEN is the token
	want string // the statuses, with that of the last request if there is one; or others
	got  string // what the backend got, apart from that: method, target and body, each in its line
}

func (r row) bytes() string { return strings.ReplaceAll(r.send, "TOKEN", token) }

// table runs the rows.
func table(t *testing.T, rows []row) {
	t.Helper()
	h := open(t, twoRoutes)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			h.TB = t
			answers, asked := h.check(r.bytes() + last)
			statuses := make([]string, len(answers))
			for i, a := range answers {
				statuses[i] = fmt.Sprint(a.status)
			}
			if got := strings.Join(statuses, " "); !slices.Contains(strings.Split(r.want, " or "), got) {
				t.Errorf("statuses %s, want %s", got, r.want)
			}
			var lines []string
			for _, q := range asked {
				if q.target != "/public/last" {
					lines = append(lines, strings.TrimSuffix(q.method+" "+q.target+" "+string(q.body), " "))
				}
			}
			if got := strings.Join(lines, "\n"); got != r.got {
				t.Errorf("the backend got\n%s\nwant\n%s", got, r.got)
			}
		})
	}
}
