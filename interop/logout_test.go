package interop

import (
	"fmt"
	"testing"
	"time"
)

// soon is how long a logout may take to end sockets (issue 4).
const soon = time.Second

// R1, R3: who logs out at npm oidc-provider loses the sockets of that login,
// and of no other, that are open to a backend in Node.
func TestR1R3OIDCProviderLogout(t *testing.T) {
	p := getOIDCProvider(t)
	for name, tt := range map[string]struct{ resource, verify string }{
		"opaque": {"", fmt.Sprintf("introspection: {issuer: %s, client_id: gateway, client_secret_env: SECRET}", p.issuer)},
		"JWT":    {resource, fmt.Sprintf("jwt: {issuer: %s, audience: %s}", p.issuer, resource)},
	} {
		t.Run(name, func(t *testing.T) {
			backend, l := startNodeBackend(t), listen(t)
			base := "http://" + l.Addr().String()
			client := p.register(t, callback, base+"/.portcullis/backchannel-logout")
			serveGateway(t, l, fmt.Sprintf(`
verify:
  %s
  recheck: 0s # the logout alone ends sockets
logout: {issuer: %s, client_id: %s}
routes:
  - {path: /, backend: %s, allow: '"chat" in identity.scopes'}
`, tt.verify, p.issuer, client, backend.url))

			alice := p.login(t, client, "alice", tt.resource)
			again := p.login(t, client, "alice", tt.resource)
			bob := p.login(t, client, "bob", tt.resource)
			first, second := join(t, base, alice.access, "alice"), join(t, base, alice.access, "alice")
			others := []*chatter{join(t, base, again.access, "alice"), join(t, base, bob.access, "bob")}

			alice.askLogout()
			began := time.Now()
			alice.confirmLogout()
			ended := socketEnd{User: "alice", Code: 3003, Reason: "session_revoked"}
			seen := []time.Time{first.wantClose(3003, ended.Reason), second.wantClose(3003, ended.Reason)}
			seen = append(seen, backend.wantEnds(t, ended, ended)...)
			for i, at := range seen {
				took := at.Sub(began)
				t.Logf("Close at the %s after %d ms", []string{"client", "client", "backend", "backend"}[i], took.Milliseconds())
				if took > soon {
					t.Errorf("Close after %v, want at most %v", took, soon)
				}
			}
			wantStatus(t, base, alice.access, 401, "")
			for _, other := range others {
				other.say("still here")
			}

			// The same user's other login, of which the provider knows as well.
			again.askLogout()
			again.confirmLogout()
			others[0].wantClose(3003, "session_revoked")
			others[1].say("alone")
			backend.wantEnds(t, ended, ended, ended)
		})
	}
}
