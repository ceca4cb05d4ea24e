package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// pushPath is where events are pushed to; those of a transmitter with a name,
// to that name below it.
const pushPath = "/.portcullis/ssf/push"

// signals are the transmitters of security events that are listened to.
type signals struct {
	receivers []*ssf.Receiver
	pushed    map[string]http.Handler // by path
	pollers   []*ssf.Poller
}

func newSignals(list []config.Signals, guard *portcullis.Guard, log *slog.Logger) (*signals, error) {
	s := &signals{pushed: make(map[string]http.Handler)}
	for i := range list {
		c := &list[i]
		conf := ssf.Config{
			Issuer: c.Issuer, Audience: c.Audience, JWKSURL: text(c.JWKSURL),
			Revoke: guard.Revoke, Recheck: guard.RecheckNow, End: guard.End,
			Actions:       actions(&c.Events),
			OpaqueSession: c.OpaqueSession, Authorization: c.PushSecret.Reveal(),
			InsecurePlainHTTP: c.InsecurePlainHTTP, Log: log,
		}
		if c.TokenIssuer != "" {
			conf.Issuers = map[string]string{c.Issuer: c.TokenIssuer}
		}
		r, err := ssf.New(conf)
		if err != nil {
			return nil, err
		}
		s.receivers = append(s.receivers, r)
		if c.PollURL == nil {
			path := pushPath
			if c.Name != "" {
				path += "/" + c.Name
			}
			s.pushed[path] = r
			continue
		}
		poll := ssf.PollConfig{Endpoint: text(c.PollURL), InsecurePlainHTTP: c.InsecurePlainHTTP}
		if token := c.PollToken; !token.IsZero() {
			poll.Bearer = func(context.Context) (string, error) { return token.Reveal(), nil }
		}
		p, err := r.NewPoller(poll)
		if err != nil {
			return nil, err
		}
		s.pollers = append(s.pollers, p)
	}
	return s, nil
}

// actions are what events lead to, by their URIs.
func actions(c *config.Events) map[string]ssf.Action {
	words := map[string]ssf.Action{"revoke": ssf.Revoke, "recheck": ssf.Recheck, "ignore": ssf.Ignore}
	return map[string]ssf.Action{
		ssf.SessionRevoked:         words[c.SessionRevoked],
		ssf.CredentialChange:       words[c.CredentialChange],
		ssf.TokenClaimsChange:      words[c.TokenClaimsChange],
		ssf.AssuranceLevelChange:   words[c.AssuranceLevelChange],
		ssf.DeviceComplianceChange: words[c.DeviceComplianceChange],
	}
}

// run polls until ctx is done.
func (s *signals) run(ctx context.Context, running *sync.WaitGroup) {
	for _, p := range s.pollers {
		running.Go(func() { _ = p.Run(ctx) }) // it ends when told
	}
}

// check ends the sessions of whoever has just been admitted, and returns why, if
// an earlier event concerns them that no Revocation can express.
func (s *signals) check(ctx context.Context, id *portcullis.Identity) error {
	for _, r := range s.receivers {
		if err := r.Check(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// behind is check for requests.
func (s *signals) behind(next http.Handler) http.Handler {
	if len(s.receivers) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := portcullis.FromContext(r.Context())
		if err := s.check(r.Context(), id); err != nil {
			portcullis.DenyStatus(w, r, err) // the Guard says the same, if the session has ended already
			return
		}
		next.ServeHTTP(w, r)
	})
}
