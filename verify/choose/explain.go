package choose

import (
	"context"

	"github.com/portcullis-auth/portcullis"
)

// Why says for what reason a choice was asked.
type Why string

// The reasons.
const (
	Prefix   Why = "prefix"    // the token begins with one of its Prefixes
	Issuer   Why = "issuer"    // the token names one of its Issuers
	InOrder  Why = "in order"  // nobody owns the token, and its turn came
	NotAsked Why = "not asked" // the token is somebody else's, or the verdict came before its turn
)

// A Step is what one choice had to do with a token. It never holds the token.
type Step struct {
	Name     string // of the choice
	Why      Why
	Identity *portcullis.Identity // nil unless the choice said yes
	Err      error                // nil if it said yes, or wasn't asked
}

// Explain does what Verify does, and returns a Step for each choice, in their
// order, besides the error that Verify would return.
func (v *Verifier) Explain(ctx context.Context, token string) ([]Step, error) {
	steps := make([]Step, len(v.choices))
	for i, c := range v.choices {
		steps[i] = Step{Name: c.Name, Why: NotAsked}
	}
	_, err := v.verify(ctx, token, func(i int, s Step) {
		s.Name = v.choices[i].Name
		steps[i] = s
	})
	return steps, err
}
