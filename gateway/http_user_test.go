package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

const userinfoHeader = "X-Portcullis-Userinfo"

// D1, D3: what is remembered of a user is what that very Identity says: a fresh
// answer about the same user is another Identity.
func TestD1D3EachIdentitySpeaksForItself(t *testing.T) {
	users := gateway.NewUsers(userinfoHeader, 60)
	identity := func(claims string) *portcullis.Identity {
		id, err := portcullis.ParseClaims([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	admin, former := identity(`{"sub":"u", "groups":["admin"]}`), identity(`{"sub":"u", "groups":[]}`)
	large := identity(`{"sub":"u", "much":"` + strings.Repeat("x", 60) + `"}`)
	for range 2 { // new, and known
		for _, tt := range []struct {
			id       *portcullis.Identity
			want     map[string][]string
			tooLarge bool
		}{
			{admin, map[string][]string{"X-Forwarded-User": {"u"}, "X-Forwarded-Groups": {"admin"}, userinfoHeader: {`{"sub":"u","groups":["admin"]}`}}, false},
			{former, map[string][]string{"X-Forwarded-User": {"u"}, userinfoHeader: {`{"sub":"u","groups":[]}`}}, false},
			{large, map[string][]string{"X-Forwarded-User": {"u"}}, true},
			{new(portcullis.Identity), map[string][]string{}, false},
		} {
			got, tooLarge := users.Tell(tt.id)
			if diff := cmp.Diff(tt.want, got); diff != "" || tooLarge != tt.tooLarge {
				t.Errorf("%s: too large %v, want %v; %s", tt.id.Claims, tooLarge, tt.tooLarge, diff)
			}
		}
	}
}

// D1: one request's header can't get into another's, whatever is added to it.
func TestD1RequestsShareNothingThatGrows(t *testing.T) {
	users, id := gateway.NewUsers(userinfoHeader, 100), &portcullis.Identity{Subject: "u"}
	first, _ := users.Tell(id)
	http.Header(first).Add("X-Forwarded-User", "root")
	http.Header(first).Set("X-Forwarded-Email", "root@example.com")
	if got, _ := users.Tell(id); len(got) != 1 || len(got["X-Forwarded-User"]) != 1 {
		t.Errorf("then others are told %v", got)
	}
}

// However many users there are, and however large their claims, what is
// remembered of them is bounded; and each is told what is theirs.
func TestUsersAreBounded(t *testing.T) {
	users := gateway.NewUsers(userinfoHeader, 64<<10)
	filling := strings.Repeat("x", 8<<10)
	var asking sync.WaitGroup
	for worker := range 4 {
		asking.Go(func() {
			for i := range 500 {
				name := fmt.Sprint(worker, ".", i)
				id := &portcullis.Identity{Subject: name, Claims: []byte(`{"much":"` + filling + `"}`)}
				for range 2 {
					if got, _ := users.Tell(id); got["X-Forwarded-User"][0] != name {
						t.Errorf("%s is told that it is %v", name, got)
					}
				}
			}
		})
	}
	asking.Wait()
	if n, size := users.Remembered(); n == 0 || n > 4<<20/(16<<10) || size > 4<<20 || size < n*16<<10 {
		t.Errorf("%d users, %d bytes; want 4 MiB at most, and 16 KiB for each", n, size)
	}
}

// Two answers that are under way never go through one buffer.
func TestBuffersHaveOneUser(t *testing.T) {
	pool := gateway.NewBuffers()
	a, b := pool.Get(), pool.Get()
	pool.Put(a)
	c, d := pool.Get(), pool.Get()
	for i, two := range [][2][]byte{{a, b}, {b, c}, {b, d}, {c, d}} {
		if &two[0][0] == &two[1][0] || len(two[0]) != 32<<10 || len(two[1]) != 32<<10 {
			t.Errorf("pair %d: lengths %d, %d, or they are one", i, len(two[0]), len(two[1]))
		}
	}
}

// FuzzStrip holds what is stripped to what it is said to be, written down the
// slow way: CGI's reading of names, and Connection as a list of tokens.
func FuzzStrip(f *testing.F) {
	for _, name := range []string{
		"X-Forwarded-User", "x_forwarded_user", "X.Forwarded", "X-Original-URL", "X-Originals", "x~portcullis!a", "Forwarded", "Forwarded-For",
		"X-Real-IP", "X-Rewrite-Url", "Remote-User", "remote_user", "Remote-Users", "X-Tenant", "Te", "Upgrade", "Keep-Alive", "X",
	} {
		for _, connection := range []string{"", "keep-alive", "close, x-tenant", "X-TENANT\t,te,Upgrade", ",, ,"} {
			f.Add(name, connection)
		}
	}
	f.Fuzz(func(t *testing.T, name, connection string) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) }) {
			return // net/http lets no such name in (RFC 9110, section 5.1)
		}
		name = http.CanonicalHeaderKey(name)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[name] = []string{"x"}
		if name != "Connection" {
			r.Header["Connection"] = []string{"close", connection}
		}
		before := r.Header.Clone()

		alias := strings.Map(func(r rune) rune {
			if isAlphanumeric(r) {
				return r
			}
			return '-'
		}, strings.ToLower(name))
		ours := false
		for _, prefix := range []string{"x-forwarded", "x-original-", "x-portcullis-"} {
			ours = ours || strings.HasPrefix(alias, prefix)
		}
		for _, whole := range []string{"forwarded", "x-real-ip", "x-rewrite-url", "remote-user"} {
			ours = ours || alias == whole
		}
		stays := name == "Connection" || name == "Upgrade" || name == "Te" ||
			!ours && !upgrade.HasToken(r.Header["Connection"], strings.ToLower(name))

		got := gateway.Strip(r, "remote-user")
		if _, stayed := got.Header[name]; stayed != stays {
			t.Errorf("%q, Connection %q: stays %v, want %v", name, connection, stayed, stays)
		}
		if diff := cmp.Diff(before, r.Header); diff != "" {
			t.Error("the request itself has changed:", diff)
		}
	})
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func BenchmarkTell(b *testing.B) {
	users := gateway.NewUsers(userinfoHeader, 8<<10)
	claims := []byte(`{"sub":"u-alice","email":"alice@example.com","email_verified":true,"groups":["staff","chat"],"preferred_username":"alice",` +
		`"scope":"openid profile email","name":"Alice Adams","padding":"` + strings.Repeat("x", 200) + `"}`)
	known := &portcullis.Identity{Subject: "u-alice", Claims: claims}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			users.TellOnly(known)
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			users.TellOnly(&portcullis.Identity{Subject: "u-alice", Claims: claims})
		}
	})
}
