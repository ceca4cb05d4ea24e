package portcullis

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A TokenSource finds a token in a request and removes it there, so that
// nobody behind the Guard sees it. It reports ok if there is one, with an empty
// token if what is there can't be told (two different ones, say): that is
// refused like a bad token. If there is none it changes nothing.
//
// r is a shallow copy: a source may replace r.Header and r.URL by copies of
// its own; it must not change what they point to. It is called concurrently.
type TokenSource func(r *http.Request) (token string, ok bool)

// Bearer finds the token in the Authorization header (RFC 6750, section 2.1).
// Other schemes are left alone.
func Bearer(r *http.Request) (token string, ok bool) {
	const scheme = "Bearer "
	values := r.Header["Authorization"]
	for _, v := range values {
		if len(v) > len(scheme) && strings.EqualFold(v[:len(scheme)], scheme) {
			token, ok = strings.Trim(v[len(scheme):], " "), true
		}
	}
	if !ok {
		return "", false
	}
	replaceHeader(r, "Authorization", nil)
	if len(values) > 1 {
		return "", true
	}
	return token, true
}

// Cookie finds the token in the cookie called name (RFC 6265, section 4.2),
// with or without double quotes. Several cookies of that name must agree.
//
// A cookie called __Host-name goes before one called __Secure-name, and that
// before name (RFC 6265bis, section 4.1.3): pages of other subdomains, or of
// whoever has the network, can set the latter. All three are removed.
func Cookie(name string) TokenSource {
	return func(r *http.Request) (token string, ok bool) {
		var found [len(cookiePrefixes)]one
		var rest []string
		for _, line := range r.Header["Cookie"] {
			if keep := takeCookie(line, name, &found); keep != "" {
				rest = append(rest, keep)
			}
		}
		for _, f := range found {
			if f.ok {
				replaceHeader(r, "Cookie", rest)
				return f.token, true
			}
		}
		return "", false
	}
}

// cookiePrefixes are what browsers keep promises about, the strongest first.
var cookiePrefixes = [...]string{"__Host-", "__Secure-", ""}

// takeCookie returns a Cookie header's line without the cookies called name, with
// or without prefix, whose values it adds to found.
func takeCookie(line, name string, found *[len(cookiePrefixes)]one) (rest string) {
	if !strings.Contains(line, name) {
		return line
	}
	for len(line) > 0 {
		var pair string
		pair, line, _ = strings.Cut(line, ";")
		pair = strings.Trim(pair, " \t")
		n, v, _ := strings.Cut(pair, "=")
		switch rank := rankCookie(strings.Trim(n, " \t"), name); {
		case rank >= 0:
			found[rank].add(unquote(strings.Trim(v, " \t")))
		case rest == "":
			rest = pair
		case pair != "":
			rest += "; " + pair
		}
	}
	return rest
}

// rankCookie returns which of cookiePrefixes and name a cookie is called by; -1:
// none.
func rankCookie(cookie, name string) int {
	prefix, ok := strings.CutSuffix(cookie, name)
	if !ok {
		return -1
	}
	return slices.Index(cookiePrefixes[:], prefix)
}

// Query finds the token in the URL parameter called name: the only place that a
// browser offers for a WebSocket apart from cookies and the subprotocol. URLs
// end up in logs and histories, so prefer the others where you can. Several
// parameters of that name must agree. The rest of the query stays as it is.
func Query(name string) TokenSource {
	return func(r *http.Request) (token string, ok bool) {
		if r.URL.RawQuery == "" {
			return "", false
		}
		var found one
		rest := takeParameter(r.URL.RawQuery, name, &found)
		if !found.ok {
			return "", false
		}
		u := *r.URL
		u.RawQuery = rest
		r.URL = &u
		path, query, _ := strings.Cut(r.RequestURI, "?")
		if query = takeParameter(query, name, new(one)); query != "" {
			path += "?" + query
		}
		r.RequestURI = path
		if r.Form != nil { // somebody in front of us has parsed it
			r.Form = maps.Clone(r.Form)
			delete(r.Form, name)
			if posted := r.PostForm[name]; posted != nil {
				r.Form[name] = posted
			}
		}
		return found.token, true
	}
}

// takeParameter returns the query without the parameters called name, whose
// values it adds to found.
func takeParameter(query, name string, found *one) (rest string) {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(k); err != nil || key != name {
			kept = append(kept, pair)
			continue
		}
		v, err := url.QueryUnescape(v)
		if err != nil {
			v = ""
		}
		found.add(v)
	}
	return strings.Join(kept, "&")
}

// protocolPrefixes are the spellings that carry a token inside of a
// subprotocol's name: an opaque token may hold characters that a subprotocol
// may not. The second is that of Kubernetes, and must come first.
var protocolPrefixes = []string{
	"base64url.bearer.authorization.k8s.io.",
	"base64url.bearer.authorization.",
}

// Subprotocol finds the token in Sec-WebSocket-Protocol, where browser script
// can put it: as the protocol behind marker, as in
//
//	new WebSocket(url, ["bearer", token])
//
// or as "base64url.bearer.authorization.<base64url of the token>", also in the
// spelling of Kubernetes. Marker and token are removed from what the client
// offers. If the handler then selects no subprotocol, the Guard answers with
// the marker, because browsers give up a connection whose offer gets no answer.
func Subprotocol(marker string) TokenSource {
	return func(r *http.Request) (token string, ok bool) {
		offered := protocols(r.Header)
		var found one
		var rest []string
		taken := []string{marker}
		for i := 0; i < len(offered); i++ {
			p := offered[i]
			if p == marker && marker != "" && i+1 < len(offered) {
				i++
				found.add(offered[i])
				taken = append(taken, offered[i])
			} else if encoded, ok := cutAnyPrefix(p, protocolPrefixes); ok {
				decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
				if err != nil {
					decoded = nil
				}
				found.add(string(decoded))
			} else {
				rest = append(rest, p)
			}
		}
		if !found.ok {
			return "", false
		}
		if slices.Contains(offered, marker) {
			*r = *r.WithContext(context.WithValue(r.Context(), markerKey{}, marker))
		}
		// What is offered twice (against RFC 6455, section 4.1) is removed twice.
		rest = slices.DeleteFunc(rest, func(p string) bool { return slices.Contains(taken, p) })
		if len(rest) == 0 {
			replaceHeader(r, "Sec-Websocket-Protocol", nil)
		} else {
			replaceHeader(r, "Sec-Websocket-Protocol", []string{strings.Join(rest, ", ")})
		}
		return found.token, true
	}
}

// markerKey is where Subprotocol notes the marker that it has taken.
type markerKey struct{}

// protocols returns the subprotocols that a handshake offers, in order.
func protocols(h http.Header) (offered []string) {
	for _, line := range h["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.Trim(p, " \t"); p != "" {
				offered = append(offered, p)
			}
		}
	}
	return offered
}

// one is a token that may be stated more than once, but not differently.
type one struct {
	token string
	ok    bool
}

func (o *one) add(token string) {
	if o.ok && o.token != token {
		token = ""
	}
	o.token, o.ok = token, true
}

func cutAnyPrefix(s string, prefixes []string) (rest string, ok bool) {
	for _, p := range prefixes {
		if rest, ok = strings.CutPrefix(s, p); ok {
			return rest, true
		}
	}
	return s, false
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// replaceHeader gives r a copy of its header with other values for key; nil:
// without it. The key is in canonical form.
func replaceHeader(r *http.Request, key string, values []string) {
	h := make(http.Header)
	if len(r.Header) > 1 { // else it is the only one
		h = maps.Clone(r.Header) // takes half the time of a loop
		delete(h, key)
	}
	if values != nil {
		h[key] = values
	}
	r.Header = h
}

// found is what the sources found.
type found struct {
	token    string
	ok       bool
	byCookie bool // it was taken from a Cookie header
}

// takeToken asks the sources in order; the first one that finds a token
// decides. The others are asked too, so that their tokens don't go on.
func takeToken(r *http.Request, sources []TokenSource) (f found) {
	if sources == nil {
		f.token, f.ok = Bearer(r)
		return f
	}
	for _, source := range sources {
		cookies := r.Header["Cookie"]
		if token, ok := source(r); ok && !f.ok {
			f = found{token, true, !slices.Equal(cookies, r.Header["Cookie"])}
		}
	}
	return f
}

// marker returns the subprotocol to answer with if the handler selects none:
// of what takeToken took out of the offer, the part that isn't the token.
// Subprotocol has noted it; for other sources, if it isn't clear which that is
// there is none: it could be a token.
func marker(before, after *http.Request, token string) (marker string) {
	if noted, ok := after.Context().Value(markerKey{}).(string); ok {
		return noted
	}
	return guessMarker(before.Header, after.Header, token)
}

func guessMarker(before, after http.Header, token string) (marker string) {
	rest := protocols(after)
	for _, p := range protocols(before) {
		_, carriesToken := cutAnyPrefix(p, protocolPrefixes)
		if slices.Contains(rest, p) || p == token || carriesToken || p == marker {
			continue
		}
		if marker != "" {
			return ""
		}
		marker = p
	}
	return marker
}
