package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// Flags of revoke, with the API's names: what they name, and when.
var (
	revokeNames = map[string]string{"sub": "sub", "sid": "sid", "jti": "jti", "iss": "iss", "client": "client_id", "session": "session"}
	revokeTimes = map[string]string{"issued-before": "issued_before", "until": "until"}
)

func revokeCommand(s system) *cli.Command {
	return &cli.Command{
		Name:      "revoke",
		Usage:     "ends sessions of a running gateway, and keeps their tokens out",
		UsageText: "portcullis revoke [options], where all that is named must match; or\nportcullis revoke --session HANDLE",
		Flags: append(operatorFlags(),
			&cli.StringFlag{Name: "sub", OnlyOnce: true, Usage: "what has this `SUBJECT`; it may log in again"},
			&cli.StringFlag{Name: "sid", OnlyOnce: true, Usage: "what is of this login session, the token's `SID`"},
			&cli.StringFlag{Name: "jti", OnlyOnce: true, Usage: "the token with this id, its `JTI`"},
			&cli.StringFlag{Name: "iss", OnlyOnce: true, Usage: "what is of this `ISSUER`"},
			&cli.StringFlag{Name: "client", OnlyOnce: true, Usage: "what is of this `CLIENT`"},
			&cli.StringFlag{Name: "session", OnlyOnce: true, Usage: "this one session, by its `HANDLE`, and nothing else: its token stays good"},
			&cli.StringFlag{Name: "issued-before", OnlyOnce: true, Usage: "spare tokens issued after `TIME`, as 2026-11-01T09:30:00Z; without it: now, or with --sid or --jti none is spared"},
			&cli.StringFlag{Name: "until", OnlyOnce: true, Usage: "forget it at `TIME`, when all such tokens have expired; without it: as late as any can"},
		),
		Action: func(ctx context.Context, c *cli.Command) error { return revoke(ctx, c, s) },
	}
}

// revoke revokes what the command line names.
func revoke(ctx context.Context, c *cli.Command, s system) error {
	order, err := given(c, revokeNames)
	if err != nil {
		return err
	}
	times, err := given(c, revokeTimes)
	if err != nil {
		return err
	}
	session := order["session"]
	switch {
	case len(order) == 0:
		return usageError{errors.New("revoke needs to know what: name --sub, --sid, --jti, --iss, --client or --session")}
	case session != "" && len(order)+len(times) > 1:
		return usageError{errors.New("--session names one session: leave the others out")}
	}
	var what []string
	for name, value := range order {
		what = append(what, fmt.Sprintf("%s %q", name, value))
	}
	slices.Sort(what)
	for name, value := range times {
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			return usageError{fmt.Errorf("--%s: write the time as 2026-11-01T09:30:00Z", strings.ReplaceAll(name, "_", "-"))}
		}
		order[name] = value
	}
	o, err := newOperator(c, s)
	if err != nil {
		return err
	}
	var answer struct{ Revoked, Durable bool }
	if err := o.call(ctx, http.MethodPost, "/v1/revocations", order, &answer); err != nil {
		return err
	}
	so := "forgotten when the gateway stops"
	switch {
	case !answer.Revoked:
		return errors.New("the gateway doesn't say that it is done")
	case session != "":
		so = "its token stays good"
	case answer.Durable:
		so = "kept when the gateway stops"
	}
	_, err = fmt.Fprintf(s.out, "revoked: %s; %s\n", strings.Join(what, ", "), so)
	return err
}
