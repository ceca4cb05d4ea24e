package backchannel

import (
	"errors"
	"net/http"
	"slices"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/jws"
)

// Receivers is the handler for one back-channel logout URI that several issuers
// have, or one issuer for several clients. It is made by [Join], and safe for
// concurrent use.
type Receivers struct{ list []*Receiver }

var _ http.Handler = (*Receivers)(nil)

// Join returns a handler that gives each logout token to the Receiver that it is
// for, the first if it is for several clients. Requests without one are logged by the first. No two may have the same
// Issuer and Audience, and there must be one.
func Join(receivers ...*Receiver) (*Receivers, error) {
	if len(receivers) == 0 {
		return nil, errors.New("backchannel: no Receiver")
	}
	type name struct{ issuer, audience string }
	names := make(map[name]bool)
	for _, r := range receivers {
		n := name{r.config.Issuer, r.config.Audience}
		if names[n] {
			return nil, errors.New("backchannel: two Receivers have the same Issuer and Audience")
		}
		names[n] = true
	}
	return &Receivers{slices.Clone(receivers)}, nil
}

// ServeHTTP answers a logout request as that of a [Receiver] does.
func (rs *Receivers) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	serve(w, req, rs.list[0].config.Log, rs.pick)
}

// pick returns the Receiver that a token says it is for. That it is indeed is for
// the Receiver to find out: its keys, and no other's, must have signed it (J3).
func (rs *Receivers) pick(token string) (*Receiver, error) {
	// J5: the size, before any work.
	if err := askhttp.CheckToken(token); err != nil {
		return nil, badToken("logout_token: " + err.Error())
	}
	err := error(badToken(`no issuer configured is the "iss" with this "aud"`))
	for _, r := range rs.list {
		t, malformed := jws.Parse(token, r.config.Algorithms, logoutTypes)
		if malformed != nil {
			err = badToken("logout_token: " + malformed.Error())
			continue
		}
		if iss, _ := jws.Text(t.Claims["iss"]); iss == r.config.Issuer && t.For(r.config.Audience) {
			return r, nil
		}
	}
	return nil, err
}
