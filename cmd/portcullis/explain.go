package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/verify/choose"
)

// maxToken is more than any token may have.
const maxToken = 64 << 10

// errRefused says that a token was explained, and is not good.
var errRefused = errors.New("the token is not good anywhere")

// explain reads a token and tells what the gateway would do with it, and why.
// It never prints the token.
func explain(ctx context.Context, file string, s system) error {
	c, err := load(file, s)
	if err != nil {
		return err
	}
	token, err := readToken(s.in)
	if err != nil {
		return err
	}
	g, err := gateway.New(c, nil)
	if err != nil {
		return err
	}
	defer func() { _ = g.Close() }()
	e := g.Explain(ctx, token)
	out := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	tell(out, "token", "%s, %s", count(len(token), "character"), shape(token))
	for _, step := range e.Steps {
		tell(out, "verifier "+step.Name, "%s", said(step))
	}
	if e.Err != nil {
		tell(out, "verdict", "%v", e.Err)
		return errors.Join(out.Flush(), errRefused)
	}
	tellIdentity(out, e.Identity)
	passes := 0
	for _, p := range e.Routes {
		if p.Err == nil {
			passes++
		}
		tellPassage(out, p)
	}
	tell(out, "note", "revocations are known to the running gateway only")
	if err := out.Flush(); err != nil || passes > 0 {
		return err
	}
	return errRefused
}

// readToken reads one line.
func readToken(in io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxToken+1))
	token := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the token from standard input: %w", err)
	case token == "":
		return "", errors.New("there is no token on standard input; pipe it in, as in: portcullis check --token - < token.txt")
	case len(token) > maxToken:
		return "", fmt.Errorf("standard input has more than %d bytes, which is no token", maxToken)
	}
	return token, nil
}

// tell writes a line of two columns.
func tell(w io.Writer, what, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "%s:\t%s\n", what, fmt.Sprintf(format, args...)) // Flush tells errors
}

// shape says what kind of token it looks like.
func shape(token string) string {
	switch strings.Count(token, ".") {
	case 2:
		return "looks like a signed JWT"
	case 4:
		return "looks like an encrypted JWT"
	}
	return "looks opaque"
}

// said says what one token system had to do with the token.
func said(s choose.Step) string {
	why := map[choose.Why]string{
		choose.Prefix:  "asked, since the token begins with one of its prefixes",
		choose.Issuer:  "asked, since the token names one of its issuers",
		choose.InOrder: "asked, since nobody owns the token",
	}[s.Why]
	switch {
	case why == "":
		return "not asked"
	case s.Err != nil:
		return why + ": " + s.Err.Error()
	}
	return why + ": the token is good"
}

func tellIdentity(w io.Writer, id *portcullis.Identity) {
	when := func(t time.Time, none string) string {
		if t.IsZero() {
			return none
		}
		return fmt.Sprintf("%s, %v from now", t.UTC().Format(time.RFC3339), time.Until(t).Round(time.Second))
	}
	tell(w, "issuer", "%s", quoted(id.Issuer))
	tell(w, "subject", "%s", quoted(id.Subject))
	tell(w, "session id", "%s", quoted(id.SessionID))
	tell(w, "client", "%s", quoted(id.ClientID))
	tell(w, "scopes", "%s", quoted(strings.Join(id.Scopes, " ")))
	tell(w, "issued", "%s", when(id.IssuedAt, "not stated: counts from when it is first seen"))
	tell(w, "expires", "%s", when(id.ExpiresAt, "not stated: max_session bounds the session"))
}

// quoted keeps what a token system says from becoming lines of its own.
func quoted(s string) string {
	if s == "" {
		return "not stated"
	}
	return strconv.Quote(s)
}

func tellPassage(w io.Writer, p gateway.Passage) {
	name := "route " + p.Route.Host + p.Route.Path
	var ways []string
	for _, way := range p.Ways {
		text := way.Place.String()
		if !way.Fits {
			text += " (cannot carry this token)"
		}
		ways = append(ways, text)
	}
	tell(w, name, "line %d, token by %s", p.Route.Line, strings.Join(ways, ", "))
	switch {
	case p.Route.Allow == nil:
		tell(w, "  rule", "none: every good token passes")
	case p.Err == nil:
		tell(w, "  rule", "true for GET %s: passes", p.Route.Path)
	default:
		tell(w, "  rule", "refused: %v", p.Err)
	}
}
