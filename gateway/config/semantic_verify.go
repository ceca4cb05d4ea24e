package config

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// verify looks at the token systems.
func (k *checker) verify(list []Verify) {
	owners := map[string]string{} // of names, issuers and prefixes: the key
	for i := range list {
		v := &list[i]
		key := "verify"
		if k.has("verify[0]") {
			key += "[" + strconv.Itoa(i) + "]"
		}
		k.kinds(v, key)
		if v.Introspection != nil {
			k.introspection(v.Introspection, key+".introspection")
		}
		if v.JWT == nil && !k.has(key+".recheck") {
			v.Recheck = time.Minute
		}
		if v.JWT != nil {
			k.jwt(v.JWT, key+".jwt")
			if len(list) > 1 && v.For.IsZero() && v.JWT.Issuer != "" {
				v.For.Issuers = []string{v.JWT.Issuer}
			}
		}
		if v.HTTPCheck != nil {
			k.httpCheck(v.HTTPCheck, key+".http_check")
		}
		if v.Userinfo != nil {
			k.userinfo(v.Userinfo, key+".userinfo")
		}
		k.owns(owners, v, key)
	}
}

// kinds sees to it that a token system is of one kind and has a name.
func (k *checker) kinds(v *Verify, key string) {
	var has []string
	for _, name := range []string{"introspection", "jwt", "http_check"} {
		if k.has(key + "." + name) {
			has = append(has, name)
		}
	}
	switch {
	case len(has) > 1:
		k.fail(key, "has both "+has[0]+" and "+has[1], "keep one of them, or make it a list of token systems")
	case len(has) == 0 && k.has(key) && !k.failed[key]:
		k.fail(key, "says nobody to ask", "add introspection, jwt or http_check below it")
	case len(has) == 1 && v.Name == "" && !k.has(key+".name"):
		v.Name = has[0]
	}
}

// owns refuses two token systems that answer to the same.
func (k *checker) owns(owners map[string]string, v *Verify, key string) {
	claim := func(what, value, at, problem, fix string) {
		if value == "" {
			return
		}
		if other, ok := owners[what+value]; ok {
			k.fail(at, problem+" "+other, fix)
			return
		}
		owners[what+value] = key
	}
	claim("name ", v.Name, key, "has the same name as", "give each a name of its own")
	for _, issuer := range v.For.Issuers {
		claim("issuer ", issuer, key, "is for tokens of an issuer that also belong to", "an issuer's tokens have one owner: tell them apart by for.prefixes, or remove one")
	}
	for _, prefix := range v.For.Prefixes {
		claim("prefix ", prefix, key, "is for tokens with a prefix that also belong to", "remove one of them")
	}
}

func (k *checker) introspection(i *Introspection, key string) {
	k.transport(key+".url", i.URL, key, i.InsecurePlainHTTP)
	k.transport(key+".jwks_url", i.JWKSURL, key, i.InsecurePlainHTTP)
	i.ClientSecret = k.secret(key, "client_secret", i.ClientSecretFile, i.ClientSecretEnv)
	if k.failed[key] {
		return
	}
	secret := k.has(key+".client_secret_file") || k.has(key+".client_secret_env")
	byKey := i.ClientAuth == "private_key_jwt"
	switch {
	case byKey && secret:
		k.fail(key, "has a client secret, which private_key_jwt doesn't use", "remove it")
	case byKey && !k.has(key+".client_key_file"):
		k.fail(key, "has no client_key_file, which private_key_jwt needs", "add it")
	case !byKey && k.has(key+".client_key_file"):
		k.fail(key+".client_key_file", "has no meaning without client_auth: private_key_jwt", "add that, or remove this")
	case !byKey && !secret && !k.failed[key+".client_secret"]:
		k.fail(key, "has no client secret", "add client_secret_file or client_secret_env")
	}
	if i.ClientID == "" && i.ClientAuth != "bearer" && !k.has(key+".client_id") {
		k.fail(key+".client_id", "is missing", "add it")
	}
	if i.ClientKeyFile != "" {
		i.ClientKey = k.privateKey(key+".client_key_file", i.ClientKeyFile)
	}
	if i.URL == nil && !k.has(key+".url") {
		k.discovered(key+".issuer", i.Issuer, key, "add url, or issuer to find it by", i.InsecurePlainHTTP)
	}
	if signed := i.SignedAnswers == "accept" || i.SignedAnswers == "required"; signed {
		switch {
		case i.Issuer == "" && !k.has(key+".issuer"):
			k.fail(key+".signed_answers", "needs the issuer, which such answers state", "add issuer")
		case i.ClientID == "" && !k.has(key+".client_id"):
			k.fail(key+".signed_answers", "needs our name, which such answers state", "add client_id")
		case i.JWKSURL == nil && !k.has(key+".jwks_url"):
			k.discovered(key+".issuer", i.Issuer, key, "", i.InsecurePlainHTTP)
		}
	} else if i.SignedAnswers == "off" && k.has(key+".jwks_url") {
		k.fail(key+".jwks_url", "is for signed answers, which are off", "set signed_answers, or remove this")
	}
}

// discovered checks an issuer whose metadata will be fetched.
func (k *checker) discovered(at, issuer, key, fix string, insecure bool) {
	if issuer == "" {
		if !k.has(at) {
			k.fail(key, "does not say where to ask", fix)
		}
		return
	}
	if problem, fix := checkIssuer(issuer); problem != "" {
		k.fail(at, problem, fix)
		return
	}
	u, _ := url.Parse(issuer)
	k.transport(at, u, key, insecure)
}

func (k *checker) jwt(j *JWT, key string) {
	k.transport(key+".jwks_url", j.JWKSURL, key, j.InsecurePlainHTTP)
	for i, typ := range j.Types {
		switch strings.ToLower(typ) {
		case "logout+jwt", "secevent+jwt", "dpop+jwt", "token-introspection+jwt", "id_token":
			k.fail(key+".types", "has "+typ+", which is no access token", "remove it")
		case "none":
			j.Types[i] = ""
		}
	}
	switch {
	case k.has(key+".jwks_url") && k.has(key+".keys_file"):
		k.fail(key+".keys_file", "stands beside jwks_url", "keep one of them")
	case j.KeysFile != "":
		text, _ := k.file(key+".keys_file", j.KeysFile, maxFile)
		j.Keys = []byte(text)
	case !k.has(key + ".jwks_url"):
		if j.Issuer != "" {
			k.discovered(key+".issuer", j.Issuer, key, "", j.InsecurePlainHTTP)
		}
	}
}

func (k *checker) httpCheck(h *HTTPCheck, key string) {
	k.transport(key+".url", h.URL, key, h.InsecurePlainHTTP)
	h.Secret = k.secret(key, "secret", h.SecretFile, h.SecretEnv)
	secret := k.has(key+".secret_file") || k.has(key+".secret_env")
	switch {
	case !secret && k.has(key+".secret_header"):
		k.fail(key+".secret_header", "has no value", "add secret_file or secret_env")
	case secret && !k.failed[key+".secret_header"] && sameHeader(h):
		k.fail(key, "sends our secret and the token in one header", "add secret_header, or choose another place in token_in")
	}
	if in := h.TokenIn.In; (in == "form" || in == "json") && h.Method == "GET" {
		k.fail(key+".token_in", "is the body, which GET has none of", "set method: POST")
	}
}

// sameHeader reports whether our secret and the token would be in one header.
func sameHeader(h *HTTPCheck) bool {
	secret, token := "Authorization", "Authorization"
	if h.SecretHeader != "" {
		secret = h.SecretHeader
	}
	switch h.TokenIn.In {
	case "header":
		token = h.TokenIn.Name
	case "cookie":
		token = "Cookie"
	case "form", "json":
		return false
	}
	return strings.EqualFold(secret, token)
}

func (k *checker) userinfo(u *Userinfo, key string) {
	if at, err := url.Parse(strings.ReplaceAll(u.URL, subject, "sub")); err == nil {
		k.transport(key+".url", at, key, u.InsecurePlainHTTP)
	}
	u.Secret = k.secret(key, "secret", u.SecretFile, u.SecretEnv)
	if u.URL != "" && !strings.Contains(u.URL, subject) && (k.has(key+".secret_file") || k.has(key+".secret_env")) {
		k.fail(key, "has a secret, but the URL gets the user's token", "remove it, or put {sub} into the URL")
	}
}
