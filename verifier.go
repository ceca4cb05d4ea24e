package portcullis

import "context"

// A Verifier asks the token system, or its keys, about a token.
//
// Verify returns the Identity that the token speaks for; [ErrInvalid] (or
// [ErrExpired], [ErrRevoked]), perhaps wrapped, for the token system's definite
// no; and any other error, best one that wraps [ErrUnavailable], when it cannot
// tell. Errors never hold the token. Verify is called concurrently, and must
// return soon after ctx is done.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Identity, error)
}

// VerifierFunc is a function that is a Verifier.
type VerifierFunc func(ctx context.Context, token string) (*Identity, error)

// Verify calls f.
func (f VerifierFunc) Verify(ctx context.Context, token string) (*Identity, error) {
	return f(ctx, token)
}

type afreshKey struct{}

// Afresh returns a context for [Verifier.Verify] that wants the token system's
// word of now: a Verifier that remembers answers is to ask.
func Afresh(ctx context.Context) context.Context { return context.WithValue(ctx, afreshKey{}, true) }

// IsAfresh reports whether ctx comes from [Afresh]. It is for Verifiers that
// remember answers.
func IsAfresh(ctx context.Context) bool { return ctx.Value(afreshKey{}) != nil }
