package gateway

import (
	"context"
	"fmt"
	"reflect"
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
	named  map[string]*verifier
}

// A verifier is one token system.
type verifier struct {
	*cached.Verifier
	config *config.Verify
	user   *userinfo.Verifier // nil: there is none
	fresh  bool               // the configuration before this one had another of the name, or none
}

// newVerifiers returns what asks the configured token systems; those that are in
// old stay the same. outage is called with the name of one that
// has been silent for too long.
func newVerifiers(list []config.Verify, leeway time.Duration, outage func(name string), old *verifiers) (v *verifiers, err error) {
	v = &verifiers{named: make(map[string]*verifier, len(list))}
	defer func() {
		if err != nil {
			v.close(old)
		}
	}()
	var choices []choose.Choice
	for i := range list {
		c := &list[i]
		one := old.same(c)
		if one == nil {
			if one, err = newVerifier(c, leeway, outage); err != nil {
				return nil, err
			}
		}
		v.named[c.Name] = one
		choices = append(choices, choose.Choice{Name: c.Name, Verifier: one.Verifier, Issuers: c.For.Issuers, Prefixes: c.For.Prefixes})
		if len(list) == 1 && c.For.IsZero() {
			v.only = one.Verifier
		}
	}
	v.choice, err = choose.New(choices...)
	return v, err
}

// same returns what asks a token system in the very way that c says; nil: nothing.
func (v *verifiers) same(c *config.Verify) *verifier {
	if v.named[c.Name] == nil || !reflect.DeepEqual(v.named[c.Name].config, c) {
		return nil
	}
	one := *v.named[c.Name]
	one.fresh = false
	return &one
}

// Verify asks whoever the token is for.
func (v *verifiers) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if v.only != nil {
		return v.only.Verify(ctx, token)
	}
	return v.choice.Verify(ctx, token)
}

// close frees what the verifiers hold and others don't.
func (v *verifiers) close(others *verifiers) {
	for name, one := range v.named {
		if other := others.named[name]; other != nil && other.Verifier == one.Verifier {
			continue
		}
		_ = one.Close()
		if one.user != nil {
			_ = one.user.Close()
		}
	}
}

// A VerifierInfo describes how a token system has been asked.
type VerifierInfo struct {
	Name string `json:"name"`
	cached.Counters
}

// Verifiers describes the token systems, in the order of the configuration.
func (g *Gateway) Verifiers() []VerifierInfo {
	now := g.current.Load()
	list := make([]VerifierInfo, 0, len(now.config.Verify))
	for _, c := range now.config.Verify {
		list = append(list, VerifierInfo{c.Name, now.verifiers.named[c.Name].Counters()})
	}
	return list
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

// newVerifier returns what asks one token system.
func newVerifier(c *config.Verify, leeway time.Duration, outage func(name string)) (*verifier, error) {
	asks, err := asker(c, leeway)
	if err != nil {
		return nil, err
	}
	v := &verifier{config: c, fresh: true}
	if c.Userinfo != nil {
		if v.user, err = newUserinfo(c.Userinfo, asks); err != nil {
			return nil, err
		}
		asks = v.user
	}
	if v.Verifier, err = cached.New(cacheConfig(c, named{c.Name, asks}, outage)); err != nil && v.user != nil {
		_ = v.user.Close()
	}
	return v, err
}

// asker returns what asks a token system about tokens, each time.
func asker(c *config.Verify, leeway time.Duration) (portcullis.Verifier, error) {
	switch {
	case c.Introspection != nil:
		return newIntrospection(c.Introspection)
	case c.JWT != nil:
		return newJWT(c.JWT, leeway)
	case c.HTTPCheck != nil:
		return newHTTPCheck(c.HTTPCheck)
	}
	return nil, fmt.Errorf("gateway: verify %q says nobody to ask about tokens", c.Name)
}
