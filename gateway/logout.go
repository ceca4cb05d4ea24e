package gateway

import (
	"log/slog"
	"net/http"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

// newLogout returns the receiver of logout tokens; nil: there is none.
func newLogout(list []config.Logout, guard *portcullis.Guard, log *slog.Logger) (http.Handler, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var receivers []*backchannel.Receiver
	for i := range list {
		l := &list[i]
		r, err := backchannel.New(backchannel.Config{
			Issuer: l.Issuer, Audience: l.ClientID, JWKSURL: text(l.JWKSURL), InsecurePlainHTTP: l.InsecurePlainHTTP,
			BySubject: l.BySubject, Revoke: guard.Revoke, Log: log,
		})
		if err != nil {
			return nil, err
		}
		receivers = append(receivers, r)
	}
	return backchannel.Join(receivers...)
}
