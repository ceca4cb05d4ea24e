package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/portcullis-auth/portcullis"
)

// maxPage is how many sessions the API lists at once.
const maxPage = 1000

// sessionFilters are the flags that narrow a list, with the API's names.
var sessionFilters = map[string]string{"sub": "sub", "sid": "sid", "iss": "iss", "client": "client_id", "path": "path"}

func sessionsCommand(s system) *cli.Command {
	return &cli.Command{
		Name:      "sessions",
		Usage:     "lists who is inside of a running gateway, or explains one session",
		UsageText: "portcullis sessions [options] [HANDLE]",
		Flags: append(operatorFlags(),
			&cli.StringFlag{Name: "sub", OnlyOnce: true, Usage: "only those whose token has this `SUBJECT`"},
			&cli.StringFlag{Name: "sid", OnlyOnce: true, Usage: "only those of this login session, the token's `SID`"},
			&cli.StringFlag{Name: "iss", OnlyOnce: true, Usage: "only those whose token is of this `ISSUER`"},
			&cli.StringFlag{Name: "client", OnlyOnce: true, Usage: "only those of this `CLIENT`"},
			&cli.StringFlag{Name: "path", OnlyOnce: true, Usage: "only those whose path begins with `PREFIX`"},
			&cli.IntFlag{Name: "limit", OnlyOnce: true, Value: 100, Usage: "list at most `N`; 0: all"},
			&cli.BoolFlag{Name: "json", Usage: "write JSON, as the API says it"},
		),
		Arguments: []cli.Argument{&cli.StringArgs{Name: "HANDLE", Max: -1}},
		Action:    func(ctx context.Context, c *cli.Command) error { return sessions(ctx, c, s) },
	}
}

// sessions lists or explains, as the command line says.
func sessions(ctx context.Context, c *cli.Command, s system) error {
	filters, err := given(c, sessionFilters)
	if err != nil {
		return err
	}
	handles := c.StringArgs("HANDLE")
	switch {
	case len(handles) > 1 || len(handles) == 1 && handles[0] == "":
		return usageError{errors.New("sessions takes one handle, or none")}
	case len(handles) == 1 && (len(filters) > 0 || c.IsSet("limit")):
		return usageError{errors.New("a handle names one session: leave the filters and --limit out")}
	case c.Int("limit") < 0:
		return usageError{errors.New("--limit is a number of sessions, or 0 for all")}
	}
	o, err := newOperator(c, s)
	if err != nil {
		return err
	}
	if len(handles) == 1 {
		return o.explainSession(ctx, handles[0], c.Bool("json"), s)
	}
	list, more, err := o.list(ctx, filters, c.Int("limit"))
	if err != nil {
		return err
	}
	if more {
		_, _ = fmt.Fprintln(s.err, "there are more; --limit 0 lists all")
	}
	if c.Bool("json") {
		return printJSON(s.out, map[string]any{"sessions": list})
	}
	return printTable(s.out, list, time.Now())
}

// list returns up to limit sessions, 0 being no limit, and whether there are more.
func (o *operator) list(ctx context.Context, filters map[string]string, limit int) (list []json.RawMessage, more bool, err error) {
	query := make(url.Values)
	for name, value := range filters {
		query.Set(name, value)
	}
	list = []json.RawMessage{} // not null in JSON
	for {
		ask := maxPage
		if limit > 0 {
			ask = min(ask, limit-len(list))
		}
		query.Set("limit", strconv.Itoa(ask))
		var page struct {
			Sessions []json.RawMessage
			Next     string
		}
		if err := o.call(ctx, http.MethodGet, "/v1/sessions?"+query.Encode(), nil, &page); err != nil {
			return nil, false, err
		}
		list = append(list, page.Sessions...)
		if page.Next == "" || len(page.Sessions) == 0 || limit > 0 && len(list) >= limit {
			return list, page.Next != "", nil
		}
		query.Set("after", page.Next)
	}
}

// explainSession tells what the gateway says of one session.
func (o *operator) explainSession(ctx context.Context, handle string, asJSON bool, s system) error {
	var raw json.RawMessage
	if err := o.call(ctx, http.MethodGet, "/v1/sessions/"+url.PathEscape(handle), nil, &raw); err != nil {
		return err
	}
	if asJSON {
		return printJSON(s.out, raw)
	}
	var one struct {
		portcullis.SessionInfo
		Explanation []string `json:"explanation"`
	}
	if err := json.Unmarshal(raw, &one); err != nil {
		return fmt.Errorf("the gateway's answer: %w", err)
	}
	out := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	tell(out, "session", "%s", cell(one.Handle))
	tell(out, "issuer", "%s", quoted(one.Issuer))
	tell(out, "subject", "%s", quoted(one.Subject))
	tell(out, "session id", "%s", quoted(one.SessionID))
	tell(out, "token id", "%s", quoted(one.TokenID))
	tell(out, "client", "%s", quoted(one.ClientID))
	tell(out, "scopes", "%s", quoted(strings.Join(one.Scopes, " ")))
	for _, sentence := range one.Explanation {
		_, _ = fmt.Fprintln(out, visible(sentence)) // Flush tells errors
	}
	return out.Flush()
}

func printTable(w io.Writer, list []json.RawMessage, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no session")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "HANDLE\tKIND\tSUBJECT\tPATH\tOPEN FOR\tENDS IN\tRENEWED\tVERIFIER\tREMOTE") // Flush tells errors
	for _, raw := range list {
		var i portcullis.SessionInfo
		if err := json.Unmarshal(raw, &i); err != nil {
			return fmt.Errorf("the gateway's answer: %w", err)
		}
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%v\t%v\t%d\t%s\t%s\n", cell(i.Handle), cell(i.Kind), cell(i.Subject), cell(i.Path),
			now.Sub(i.Opened).Round(time.Second), i.Expires.Sub(now).Round(time.Second), i.Renewed, cell(i.Verifier), cell(i.Remote))
	}
	return out.Flush()
}

// maxCell is how many characters of a text a table shows.
const maxCell = 40

// cell returns s fit for a table: what could pass for another column or line is
// quoted, and what is long is cut.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	if runes := []rune(s); len(runes) > maxCell {
		s = string(runes[:maxCell-1]) + "…"
	}
	if q := strconv.Quote(s); strings.Contains(s, " ") || q != `"`+s+`"` {
		return q
	}
	return s
}

// printJSON writes v for people and programs alike.
func printJSON(w io.Writer, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Fprintln(w, visible(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
