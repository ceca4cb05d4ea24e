package userinfo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

// placeholder is where the subject stands in a URL.
const placeholder = "{sub}"

// ask makes one call about the user of the token.
func (v *Verifier) ask(ctx context.Context, token, subject string) (info, error) {
	address, bearer := v.config.URL, token
	if v.sendToken {
		if err := askhttp.CheckToken(token); err != nil { // J5; or the header would say something else
			return nil, fmt.Errorf("%w: %w", portcullis.ErrInvalid, err)
		}
	} else {
		var err error
		if address, err = place(subject, address); err != nil {
			return nil, err
		}
		bearer = v.config.BearerToken
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := v.asker.Ask(req)
	if err != nil {
		return nil, err
	}
	switch status := answer.Status; {
	case status >= 200 && status <= 299:
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		if v.sendToken { // RFC 6750, section 3.1
			return nil, fmt.Errorf("%w: the userinfo endpoint answers %d", portcullis.ErrInvalid, status)
		}
		return nil, fmt.Errorf("the URL refuses us (status %d): check BearerToken", status)
	case status == http.StatusNotFound && !v.sendToken:
		return nil, fmt.Errorf("%w: there is no such user (status %d)", portcullis.ErrForbidden, status)
	default:
		return nil, answer.Unexpected()
	}
	if media, _, err := answer.Body(); err == nil && media == "application/jwt" {
		return nil, errors.New("the answer is signed or encrypted (application/jwt), which is not supported: " +
			"set the client's userinfo_signed_response_alg to none")
	}
	body, err := answer.JSON()
	if err != nil {
		return nil, err
	}
	return read(body, subject, v.sendToken)
}

// place puts the subject where the placeholder stands: as one segment of a
// path, or one value of a query.
func place(subject, address string) (string, error) {
	path, query, _ := strings.Cut(address, "?")
	if strings.Contains(path, placeholder) {
		// Escaped or not, servers resolve dots and drop empty segments: the
		// answer would be about another place.
		for piece := range strings.SplitSeq(strings.ReplaceAll(subject, `\`, "/"), "/") {
			if piece == "" || piece == "." || piece == ".." {
				return "", errors.New("the subject cannot be part of a path")
			}
		}
		path = strings.ReplaceAll(path, placeholder, url.PathEscape(subject))
	}
	if query == "" {
		return path, nil
	}
	value := strings.ReplaceAll(url.QueryEscape(subject), "+", "%20") // not everybody reads it as a form
	return path + "?" + strings.ReplaceAll(query, placeholder, value), nil
}
