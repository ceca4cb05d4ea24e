package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/verify/cached"
	"github.com/portcullis-auth/portcullis/verify/choose"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

// verifiers are the configured token systems: each one cached, behind a choice
// between them.
type verifiers struct {
	choice *choose.Verifier
	only   *cached.Verifier // where there is no choice
	cached map[string]*cached.Verifier
	users  []*userinfo.Verifier
}

// newVerifiers returns what asks the configured token systems. outage is called
// with the name of one that has been silent for too long.
func newVerifiers(list []config.Verify, leeway time.Duration, outage func(name string)) (v *verifiers, err error) {
	v = &verifiers{cached: make(map[string]*cached.Verifier, len(list))}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	var choices []choose.Choice
	for i := range list {
		c := &list[i]
		asks, err := v.asker(c, leeway)
		if err != nil {
			return nil, err
		}
		remembers, err := cached.New(cacheConfig(c, named{c.Name, asks}, outage))
		if err != nil {
			return nil, err
		}
		v.cached[c.Name] = remembers
		choices = append(choices, choose.Choice{Name: c.Name, Verifier: remembers, Issuers: c.For.Issuers, Prefixes: c.For.Prefixes})
		if len(list) == 1 && c.For.IsZero() {
			v.only = remembers
		}
	}
	v.choice, err = choose.New(choices...)
	return v, err
}

// Verify asks whoever the token is for.
func (v *verifiers) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if v.only != nil {
		return v.only.Verify(ctx, token)
	}
	return v.choice.Verify(ctx, token)
}

// close frees what the verifiers hold. It may be called on a half-made one.
func (v *verifiers) close() {
	for _, c := range v.cached {
		_ = c.Close()
	}
	for _, u := range v.users {
		_ = u.Close()
	}
}

// A VerifierInfo describes how a token system has been asked.
type VerifierInfo struct {
	Name string `json:"name"`
	cached.Counters
}

// Verifiers describes the token systems, in the order of the configuration.
func (g *Gateway) Verifiers() []VerifierInfo {
	list := make([]VerifierInfo, 0, len(g.config.Verify))
	for _, c := range g.config.Verify {
		list = append(list, VerifierInfo{c.Name, g.verifiers.cached[c.Name].Counters()})
	}
	return list
}

// rechecks says how often a token system is asked again about live sessions.
func rechecks(list []config.Verify) func(*portcullis.Identity) time.Duration {
	every := make(map[string]time.Duration, len(list))
	for _, c := range list {
		every[c.Name] = c.Recheck
	}
	return func(id *portcullis.Identity) time.Duration { return every[id.VerifiedBy] }
}

// A named Verifier says who it is.
type named struct {
	name string
	portcullis.Verifier
}

func (n named) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	id, err := n.Verifier.Verify(ctx, token)
	if err != nil || id == nil {
		return id, err
	}
	own := *id
	own.VerifiedBy = n.name
	return &own, nil
}

func cacheConfig(c *config.Verify, v portcullis.Verifier, outage func(name string)) cached.Config {
	conf := cached.Config{
		Verifier: v,
		MaxAge:   c.Cache.MaxAge, NegativeAge: c.Cache.NegativeAge, StaleFor: c.Outage.StaleFor,
		MaxBytes: int64(c.Cache.Size), MaxCalls: int(c.Cache.Calls),
		Failures: int(c.Outage.Failures), Cooldown: c.Outage.Cooldown,
		Outage: c.Outage.EndSessionsAfter, OnOutage: func() { outage(c.Name) },
	}
	// Zero stands for a default there.
	if conf.MaxAge == 0 {
		conf.MaxAge = time.Nanosecond
	}
	if conf.NegativeAge == 0 {
		conf.NegativeAge = -1
	}
	return conf
}

// asker returns what asks one token system, each time.
func (v *verifiers) asker(c *config.Verify, leeway time.Duration) (asks portcullis.Verifier, err error) {
	switch {
	case c.Introspection != nil:
		asks, err = newIntrospection(c.Introspection)
	case c.JWT != nil:
		asks, err = newJWT(c.JWT, leeway)
	case c.HTTPCheck != nil:
		asks, err = newHTTPCheck(c.HTTPCheck)
	default:
		return nil, fmt.Errorf("gateway: verify %q says nobody to ask about tokens", c.Name)
	}
	if err != nil || c.Userinfo == nil {
		return asks, err
	}
	u, err := newUserinfo(c.Userinfo, asks)
	if err != nil {
		return nil, err
	}
	v.users = append(v.users, u)
	return u, nil
}
