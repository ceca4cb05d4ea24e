package ssf

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// A target is whom a subject names: those who match in everything that is set.
// It has a subject, a session, a token or a claim, and not only an issuer.
type target struct {
	portcullis.Revocation
	issued bool // whether the subject says which issuer
	claims []claim
}

// A claim is one that a token must have to be named.
type claim struct{ name, value string }

// key is the claim as it is compared: of mailboxes that differ in case there is
// only one.
func (c claim) key() claim {
	if c.name == "email" {
		c.value = strings.ToLower(c.value)
	}
	return c
}

// target reads a subject. The error is a refusal.
func (r *Receiver) target(raw json.RawMessage) (*target, error) {
	members, err := strictjson.Object(raw)
	if err != nil {
		return nil, invalid(`"sub_id" is not an object`)
	}
	t := &target{}
	if format, _ := jws.Text(members["format"]); format == "complex" {
		err = r.complex(t, members)
	} else if format == "opaque" && r.config.OpaqueSession {
		err = r.simple(t, members, asSession)
	} else {
		err = r.simple(t, members, asUser)
	}
	switch {
	case err != nil:
		return nil, err
	case t.Subject == "" && t.SessionID == "" && t.TokenID == "" && len(t.claims) == 0:
		return nil, invalid("the subject names nobody")
	case !t.issued:
		t.Issuer = r.issuer(r.config.Issuer)
	}
	return t, nil
}

// issuer returns the "iss" of tokens for that of SETs.
func (r *Receiver) issuer(iss string) string {
	if mapped, ok := r.config.Issuers[iss]; ok {
		return mapped
	}
	return iss
}

// complex narrows t by every member of a complex subject (SSF 1.0, section 3.3).
func (r *Receiver) complex(t *target, members map[string]json.RawMessage) error {
	for name, raw := range members {
		as, known := r.config.Members[name]
		switch {
		case name == "format", known && as == "":
			continue
		case name == "user":
			as = asUser
		case name == "session":
			as = asSession
		case !known:
			return invalid("the complex subject has a member that we cannot compare with anything")
		}
		member, err := strictjson.Object(raw)
		if err != nil {
			return invalid("a member of the complex subject is not an object")
		}
		if err := r.simple(t, member, as); err != nil {
			return err
		}
	}
	return nil
}

// What a simple subject stands for, if it is not the value of a claim.
const (
	asUser    = "\x00user"
	asSession = "\x00session"
)

// simple narrows t by a simple subject (RFC 9493, section 3.2; SSF 1.0, section
// 3.5), which stands for a user, a session, or the value of the claim as.
func (r *Receiver) simple(t *target, members map[string]json.RawMessage, as string) error {
	format, _ := jws.Text(members["format"])
	name, named := values[format]
	if !named {
		return invalid("the subject's format is not supported")
	}
	value, _ := jws.Text(members[name])
	if value == "" {
		return invalid("the subject lacks what its format requires")
	}
	if format == "iss_sub" || format == "jwt_id" {
		iss, _ := jws.Text(members["iss"])
		if iss == "" {
			return invalid("the subject lacks what its format requires")
		}
		if iss = r.issuer(iss); t.issued && t.Issuer != iss {
			return invalid("the members of the complex subject are of several issuers")
		}
		t.Issuer, t.issued = iss, true
	}
	switch {
	case as == asUser && format == "email":
		t.claims = append(t.claims, claim{"email", value})
	case as == asUser && format == "jwt_id":
		t.TokenID = value
	case as == asUser:
		t.Subject = value
	case format == "jwt_id" || as == asSession && format != "opaque":
		return invalid("the format is not one for this member of the complex subject")
	case as == asSession:
		t.SessionID = value
	default:
		t.claims = append(t.claims, claim{as, value})
	}
	return nil
}

// values are the members that hold what subjects of a format are called.
var values = map[string]string{"iss_sub": "sub", "opaque": "id", "email": "email", "jwt_id": "jti"}

// matches reports whether the subject names id, whenever its token was issued.
func (t *target) matches(id *portcullis.Identity) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	if !is(t.Issuer, id.Issuer) || !is(t.Subject, id.Subject) || !is(t.SessionID, id.SessionID) || !is(t.TokenID, id.TokenID) {
		return false
	}
	if len(t.claims) == 0 {
		return true
	}
	has := claimsOf(id)
	return !slices.ContainsFunc(t.claims, func(c claim) bool {
		got, ok := jws.Text(has[c.name])
		return !ok || claim{c.name, got}.key() != c.key()
	})
}

// ends reports whether the subject names id, and its token was not issued after
// what happened. One that doesn't say when it was issued is not spared.
func (t *target) ends(id *portcullis.Identity) bool {
	later := !t.IssuedBefore.IsZero() && id.IssuedAt.Unix() > t.IssuedBefore.Unix()
	return !later && t.matches(id)
}

// claimsOf returns the claims of id that are worth comparing; none if they are
// no strict JSON.
func claimsOf(id *portcullis.Identity) map[string]json.RawMessage {
	members, _ := strictjson.Object(id.Claims)
	return members
}
