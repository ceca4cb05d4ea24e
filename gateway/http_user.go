package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// maxTold bounds what is remembered of users, in bytes.
const maxTold = 4 << 20

// users remembers what backends are told of a user: an Identity doesn't change,
// and many requests have the same one. Of one that comes once, as those of many
// sockets do, it remembers only that it came. When it is full it begins anew.
type users struct {
	userinfo    string // header, in canonical form
	userinfoMax int

	mu   sync.RWMutex // guards what follows
	told map[*portcullis.Identity]told
	size int // of it, in bytes
}

// told is what a backend is told of a user.
type told struct {
	fields   []field
	tooLarge bool // the claims don't fit
	known    bool // false: the Identity came once, and nothing is remembered
}

// A field is a header. Requests share its values, which must not be changed.
type field struct {
	name   string
	values []string
}

func newUsers(userinfo string, userinfoMax int) *users {
	return &users{userinfo: userinfo, userinfoMax: userinfoMax, told: make(map[*portcullis.Identity]told)}
}

// tell returns what a backend is told of the user.
func (u *users) tell(id *portcullis.Identity) told {
	u.mu.RLock()
	t, ok := u.told[id]
	u.mu.RUnlock()
	if t.known {
		return t
	}
	t = u.vouch(id)
	size, kept := 512+len(id.Claims), told{} // about
	if ok {
		kept = t
		for _, f := range t.fields {
			size += len(f.values[0])
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.size += size; u.size > maxTold {
		clear(u.told)
		u.size = size
	}
	u.told[id] = kept
	return t
}

// vouch says who the user is. What the token system didn't say is absent.
func (u *users) vouch(id *portcullis.Identity) (t told) {
	t.known = true
	claims, _ := strictjson.Object(id.Claims) // Verifiers check it; without claims there is little to say
	text := func(name string) (s string) {
		_ = json.Unmarshal(claims[name], &s)
		return s
	}
	set := func(name, value string) {
		if value != "" {
			t.fields = append(t.fields, field{name, []string{value}})
		}
	}
	set("X-Forwarded-User", encode(id.Subject))
	set("X-Forwarded-Preferred-Username", encode(text("preferred_username")))
	switch verified, said := claims["email_verified"]; {
	case !said, string(verified) == "true", string(verified) == `"true"`: // some say it as text
		set("X-Forwarded-Email", encode(text("email")))
	}
	var groups []string
	if json.Unmarshal(claims["groups"], &groups) != nil {
		groups = nil // not half of them
	}
	for i, g := range groups {
		groups[i] = strings.ReplaceAll(encode(g), ",", "%2C")
	}
	set("X-Forwarded-Groups", strings.Join(groups, ","))
	userinfo := asciiJSON(id.Claims)
	if t.tooLarge = len(userinfo) > u.userinfoMax; !t.tooLarge {
		set(u.userinfo, userinfo)
	}
	return t
}

// encode makes text safe for a header: bytes that aren't visible ASCII, and
// the percent sign, are percent-encoded (RFC 3986, section 2.1).
func encode(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7F || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// asciiJSON returns the JSON without white space and with everything that isn't
// ASCII escaped (RFC 8259, section 7); "" if it isn't JSON.
func asciiJSON(raw []byte) string {
	var compact bytes.Buffer
	if len(raw) == 0 || json.Compact(&compact, raw) != nil {
		return ""
	}
	var b strings.Builder
	b.Grow(compact.Len())
	for rest := compact.Bytes(); len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case r < 0x7F:
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
