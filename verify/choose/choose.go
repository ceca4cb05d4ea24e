// Package choose makes one Verifier of several, for those who have more than
// one token system: by what a token begins with, by the issuer it names, or by
// asking one after the other.
//
// Whoever owns a token has the last word about it, so that one token system's
// no, or its outage, is never made good by another's yes:
//
//  1. The longest of all Prefixes that the token begins with owns it.
//  2. Else the choice that lists the "iss" that the token names owns it. This
//     is for signed tokens (RFC 7515); nothing of them is checked here, since
//     naming an issuer gets a token no further than to that issuer's Verifier.
//  3. Else the choices that have neither Prefixes nor Issuers are asked in
//     order. A yes is final. So are [portcullis.ErrExpired],
//     [portcullis.ErrRevoked] and [portcullis.ErrForbidden], which only somebody
//     who knows the token can say. After [portcullis.ErrInvalid] the next one
//     is asked, and after an outage too; but if nobody knows the token then,
//     and one could not tell, the answer is that we cannot tell.
//  4. Else the token is invalid.
//
// Limits: those asked in order get tokens that aren't theirs to see; Prefixes
// and Issuers keep tokens apart. Whether a string can be a token at all is left
// to whoever gets it.
package choose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-auth/portcullis"
)

// A Choice is a Verifier and the tokens that it is for. With neither Issuers
// nor Prefixes it is asked about those that nobody owns.
type Choice struct {
	Name     string // for errors and [Step]; required, one of a kind
	Verifier portcullis.Verifier
	Issuers  []string // "iss" of signed tokens, to the letter
	Prefixes []string // what opaque tokens begin with, to the letter
}

// A Verifier asks the Verifier that a token is for. It is made by [New], safe
// for concurrent use, and needs no closing.
type Verifier struct {
	choices  []Choice
	prefixes []prefix // the longest first
	issuers  map[string]int
	inOrder  []int
}

// A prefix is one of the choice with that index.
type prefix struct {
	text   string
	choice int
}

var _ portcullis.Verifier = (*Verifier)(nil)

// New returns a Verifier, or what is wrong with the choices. Their order
// matters to those without Issuers and Prefixes only.
func New(choices ...Choice) (*Verifier, error) {
	if len(choices) == 0 {
		return nil, errors.New("choose: nothing to choose from")
	}
	v := &Verifier{choices: slices.Clone(choices), issuers: make(map[string]int)}
	names, prefixes := make(map[string]bool), make(map[string]bool)
	for i, c := range choices {
		switch {
		case c.Name == "":
			return nil, errors.New("choose: a choice has no Name")
		case names[c.Name]:
			return nil, fmt.Errorf("choose: two choices are called %q", c.Name)
		case c.Verifier == nil:
			return nil, fmt.Errorf("choose: %q has no Verifier", c.Name)
		case slices.Contains(c.Prefixes, ""):
			return nil, fmt.Errorf("choose: %q has an empty prefix, which every token begins with", c.Name)
		case slices.Contains(c.Issuers, ""):
			return nil, fmt.Errorf("choose: %q has an empty issuer", c.Name)
		}
		names[c.Name] = true
		for _, p := range c.Prefixes {
			if prefixes[p] {
				return nil, fmt.Errorf("choose: the prefix %q is listed twice", p)
			}
			prefixes[p] = true
			v.prefixes = append(v.prefixes, prefix{p, i})
		}
		for _, iss := range c.Issuers {
			if _, ok := v.issuers[iss]; ok {
				return nil, fmt.Errorf("choose: the issuer %q is listed twice", iss)
			}
			v.issuers[iss] = i
		}
		if len(c.Prefixes)+len(c.Issuers) == 0 {
			v.inOrder = append(v.inOrder, i)
		}
	}
	slices.SortFunc(v.prefixes, func(a, b prefix) int { return cmp.Compare(len(b.text), len(a.text)) })
	return v, nil
}

// Verify asks whom the token is for. The error is that of the Verifier that
// decided, under its choice's Name. Where nobody decided it wraps
// [portcullis.ErrUnavailable] if one could not tell or ctx was done, and
// [portcullis.ErrInvalid] otherwise.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	return v.verify(ctx, token, func(int, Step) {})
}

// verify tells note about each choice that it asks.
func (v *Verifier) verify(ctx context.Context, token string, note func(choice int, s Step)) (*portcullis.Identity, error) {
	if owner, why := v.owner(token); owner >= 0 {
		id, err := v.choices[owner].ask(ctx, token)
		note(owner, Step{Why: why, Identity: id, Err: err})
		return id, err
	}
	if len(v.inOrder) == 0 {
		return nil, fmt.Errorf("%w: no verifier is for this kind of token", portcullis.ErrInvalid)
	}
	var invalid, unsure error
	for _, i := range v.inOrder {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w: gave up asking: %w", portcullis.ErrUnavailable, err)
		}
		id, err := v.choices[i].ask(ctx, token)
		note(i, Step{Why: InOrder, Identity: id, Err: err})
		switch {
		case errors.Is(err, portcullis.ErrUnavailable): // whatever else it says
			unsure = cmp.Or(unsure, err)
		case err == nil, errors.Is(err, portcullis.ErrExpired), errors.Is(err, portcullis.ErrRevoked), errors.Is(err, portcullis.ErrForbidden):
			return id, err
		default:
			invalid = err
		}
	}
	return nil, cmp.Or(unsure, invalid)
}

// owner returns the index of the choice that the token belongs to, and why.
// Negative: nobody's.
func (v *Verifier) owner(token string) (choice int, why Why) {
	for _, p := range v.prefixes {
		if strings.HasPrefix(token, p.text) {
			return p.choice, Prefix
		}
	}
	if len(v.issuers) > 0 {
		if choice, ok := v.issuers[issuer(token)]; ok {
			return choice, Issuer
		}
	}
	return -1, NotAsked
}

// ask returns an Identity, or an error that says whose it is and is a no of the
// root package or its ErrUnavailable.
func (c *Choice) ask(ctx context.Context, token string) (*portcullis.Identity, error) {
	id, err := c.Verifier.Verify(ctx, token)
	switch {
	case err == nil && id != nil:
		return id, nil
	case err == nil:
		return nil, fmt.Errorf("%s: %w: neither an identity nor an error", c.Name, portcullis.ErrUnavailable)
	case errors.Is(err, portcullis.ErrUnavailable), errors.Is(err, portcullis.ErrInvalid), errors.Is(err, portcullis.ErrExpired),
		errors.Is(err, portcullis.ErrRevoked), errors.Is(err, portcullis.ErrForbidden):
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil, fmt.Errorf("%s: %w: %w", c.Name, portcullis.ErrUnavailable, err)
}
