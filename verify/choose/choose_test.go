package choose_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/choose"
)

var someone = &portcullis.Identity{Subject: "u1"}

// says is a Verifier with one answer: nil is a yes.
func says(err error) portcullis.Verifier {
	return portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		if err != nil {
			return nil, err
		}
		return someone, nil
	})
}

func choice(name string, answer error, prefixes ...string) choose.Choice {
	return choose.Choice{Name: name, Verifier: says(answer), Prefixes: prefixes}
}

func issuerChoice(name string, answer error, issuers ...string) choose.Choice {
	return choose.Choice{Name: name, Verifier: says(answer), Issuers: issuers}
}

func newVerifier(t testing.TB, choices ...choose.Choice) *choose.Verifier {
	t.Helper()
	v, err := choose.New(choices...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// jws has the shape of a signed token with that payload.
func jws(payload string) string {
	return "eyJhbGciOiJSUzI1NiJ9." + encode(payload) + ".c2ln"
}

var (
	errExpired = fmt.Errorf("%w: yesterday", portcullis.ErrExpired)
	errInvalid = fmt.Errorf("%w: unknown", portcullis.ErrInvalid)
	errDown    = fmt.Errorf("%w: no answer", portcullis.ErrUnavailable)
	errOther   = errors.New("out of order")
	errBoth    = fmt.Errorf("%w: %w", portcullis.ErrInvalid, portcullis.ErrUnavailable)
)

func TestWhoDecides(t *testing.T) {
	const idA, idB = "https://a.example.com", "https://b.example.com"
	for _, tt := range []struct {
		name    string
		choices []choose.Choice
		token   string
		want    error  // nil: yes
		asked   string // who was, and why
	}{
		{"prefix: yes", []choose.Choice{choice("a", nil, "a_"), choice("b", errInvalid)}, "a_1", nil, "a: prefix"},
		{"prefix: a no is final", []choose.Choice{choice("a", errInvalid, "a_"), choice("b", nil)}, "a_1", portcullis.ErrInvalid, "a: prefix"},
		{"prefix: an outage is final", []choose.Choice{choice("a", errDown, "a_"), choice("b", nil)}, "a_1", portcullis.ErrUnavailable, "a: prefix"},
		{"prefix: another error is an outage", []choose.Choice{choice("a", errOther, "a_"), choice("b", nil)}, "a_1", portcullis.ErrUnavailable, "a: prefix"},
		{"the longest prefix", []choose.Choice{choice("a", nil, "t_"), choice("b", errInvalid, "t_live_"), choice("c", nil, "t_l")}, "t_live_1", portcullis.ErrInvalid, "b: prefix"},
		{"a shorter prefix", []choose.Choice{choice("a", errInvalid, "t_"), choice("b", nil, "t_live_")}, "t_liv", portcullis.ErrInvalid, "a: prefix"},
		{"the token is the prefix", []choose.Choice{choice("a", nil, "t_")}, "t_", nil, "a: prefix"},
		{"prefix before issuer", []choose.Choice{issuerChoice("a", nil, idA), choice("b", errInvalid, "ey")}, jws(`{"iss":"` + idA + `"}`), portcullis.ErrInvalid, "b: prefix"},

		{"issuer: yes", []choose.Choice{issuerChoice("a", errInvalid, idA), issuerChoice("b", nil, "x", idB)}, jws(`{"iss":"` + idB + `"}`), nil, "b: issuer"},
		{"issuer: a no is final", []choose.Choice{choice("any", nil), issuerChoice("a", errInvalid, idA)}, jws(`{"iss":"` + idA + `"}`), portcullis.ErrInvalid, "a: issuer"},
		{"issuer: an outage is final", []choose.Choice{choice("any", nil), issuerChoice("a", errDown, idA)}, jws(`{"iss":"` + idA + `"}`), portcullis.ErrUnavailable, "a: issuer"},
		{"an issuer that nobody lists", []choose.Choice{issuerChoice("a", nil, idA), choice("any", errInvalid)}, jws(`{"iss":"` + idB + `"}`), portcullis.ErrInvalid, "any: in order"},
		{"an issuer with a slash more", []choose.Choice{issuerChoice("a", nil, idA)}, jws(`{"iss":"` + idA + `/"}`), portcullis.ErrInvalid, ""},
		{"no issuer", []choose.Choice{issuerChoice("a", nil, idA)}, jws(`{}`), portcullis.ErrInvalid, ""},

		{"in order: yes", []choose.Choice{choice("a", nil), choice("b", nil)}, "t", nil, "a: in order"},
		{"in order: the second one's yes", []choose.Choice{choice("a", errInvalid), choice("b", nil), choice("c", nil)}, "t", nil, "a: in order, b: in order"},
		{"in order: a yes after an outage", []choose.Choice{choice("a", errDown), choice("b", nil)}, "t", nil, "a: in order, b: in order"},
		{"in order: expired is final", []choose.Choice{choice("a", errExpired), choice("b", nil)}, "t", portcullis.ErrExpired, "a: in order"},
		{"in order: expired, and so invalid, is final", []choose.Choice{choice("a", fmt.Errorf("%w: %w", errInvalid, errExpired)), choice("b", nil)}, "t", portcullis.ErrExpired, "a: in order"},
		{"in order: revoked is final", []choose.Choice{choice("a", portcullis.ErrRevoked), choice("b", nil)}, "t", portcullis.ErrRevoked, "a: in order"},
		{"in order: forbidden is final", []choose.Choice{choice("a", portcullis.ErrForbidden), choice("b", nil)}, "t", portcullis.ErrForbidden, "a: in order"},
		{"in order: expired after an outage", []choose.Choice{choice("a", errDown), choice("b", errExpired)}, "t", portcullis.ErrExpired, "a: in order, b: in order"},
		{"in order: nobody knows it", []choose.Choice{choice("a", errInvalid), choice("b", errInvalid)}, "t", portcullis.ErrInvalid, "a: in order, b: in order"},
		{"in order: one could not tell", []choose.Choice{choice("a", errDown), choice("b", errInvalid)}, "t", portcullis.ErrUnavailable, "a: in order, b: in order"},
		{"in order: the last one could not tell", []choose.Choice{choice("a", errInvalid), choice("b", errOther)}, "t", portcullis.ErrUnavailable, "a: in order, b: in order"},
		{"in order: no and outage in one", []choose.Choice{choice("a", errBoth)}, "t", portcullis.ErrUnavailable, "a: in order"},
		{"in order: no token", []choose.Choice{choice("a", portcullis.ErrNoToken), choice("b", errInvalid)}, "t", portcullis.ErrUnavailable, "a: in order, b: in order"},

		{"nobody", []choose.Choice{choice("a", nil, "a_"), issuerChoice("b", nil, idB)}, "t", portcullis.ErrInvalid, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, tt.choices...)
			id, err := v.Verify(t.Context(), tt.token)
			if !errors.Is(err, tt.want) || (id == someone) != (tt.want == nil) {
				t.Errorf("identity %v, err %v; want %v", id, err, tt.want)
			}
			if errors.Is(err, portcullis.ErrUnavailable) && !errors.Is(tt.want, portcullis.ErrUnavailable) {
				t.Errorf("err = %v is an outage too", err)
			}
			if err != nil && strings.Contains(err.Error(), tt.token) && len(tt.token) > 2 {
				t.Errorf("the error holds the token: %v", err)
			}

			steps, explained := v.Explain(t.Context(), tt.token)
			if fmt.Sprint(explained) != fmt.Sprint(err) {
				t.Errorf("explained as %v, want %v", explained, err)
			}
			var asked []string
			for i, s := range steps {
				if s.Name != tt.choices[i].Name {
					t.Errorf("step %d is that of %q", i, s.Name)
				}
				if s.Why == choose.NotAsked {
					if s.Err != nil || s.Identity != nil {
						t.Errorf("step %+v has an answer", s)
					}
					continue
				}
				asked = append(asked, fmt.Sprintf("%s: %s", s.Name, s.Why))
				if (s.Identity == nil) == (s.Err == nil) {
					t.Errorf("step %+v has no answer, or two", s)
				}
			}
			if got := strings.Join(asked, ", "); got != tt.asked {
				t.Errorf("asked %q, want %q", got, tt.asked)
			}
		})
	}
}

func TestErrorsSayWhose(t *testing.T) {
	v := newVerifier(t, choice("first", errDown), choice("second", errDown), choice("third", errInvalid), choice("own", errInvalid, "o_"), choice("none", nil, "x"))
	for token, want := range map[string]string{
		"t":   "first: portcullis: cannot tell whether the token is valid: no answer",
		"o_1": "own: portcullis: token not valid: unknown",
	} {
		if _, err := v.Verify(t.Context(), token); err == nil || err.Error() != want {
			t.Errorf("%s: err = %v, want %s", token, err, want)
		}
	}
	v = newVerifier(t, choice("own", errInvalid, "o_"))
	if _, err := v.Verify(t.Context(), "t"); err == nil || !strings.HasSuffix(err.Error(), "no verifier is for this kind of token") {
		t.Errorf("nobody: err = %v", err)
	}
}

// A Verifier that says nothing lets nobody in.
func TestNeitherIdentityNorError(t *testing.T) {
	nothing := portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { return nil, nil })
	for _, prefixes := range [][]string{nil, {"t"}} {
		v := newVerifier(t, choose.Choice{Name: "a", Verifier: nothing, Prefixes: prefixes})
		if id, err := v.Verify(t.Context(), "t"); id != nil || !errors.Is(err, portcullis.ErrUnavailable) {
			t.Errorf("identity %v, err %v", id, err)
		}
	}
}

// Who has gone is not asked about any further, and not told no.
func TestCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	leaves := portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { cancel(); return nil, errInvalid })
	v := newVerifier(t, choose.Choice{Name: "a", Verifier: leaves}, choice("b", nil))
	steps, err := v.Explain(ctx, "t")
	if !errors.Is(err, portcullis.ErrUnavailable) || !errors.Is(err, context.Canceled) || errors.Is(err, portcullis.ErrInvalid) {
		t.Errorf("err = %v", err)
	}
	if steps[1].Why != choose.NotAsked {
		t.Errorf("steps = %v", steps)
	}
}

func TestNew(t *testing.T) {
	good := choice("good", nil, "g_")
	for _, tt := range []struct {
		name    string
		choices []choose.Choice
		wantErr string
	}{
		{"good", []choose.Choice{good, choice("other", nil)}, ""},
		{"prefix of a prefix", []choose.Choice{good, choice("other", nil, "g_o")}, ""},
		{"none", nil, "nothing to choose from"},
		{"no name", []choose.Choice{good, choice("", nil)}, "no Name"},
		{"no Verifier", []choose.Choice{good, {Name: "other"}}, `"other" has no Verifier`},
		{"same name", []choose.Choice{good, choice("good", nil)}, `called "good"`},
		{"same prefix", []choose.Choice{good, choice("other", nil, "o", "g_")}, `"g_" is listed twice`},
		{"same prefix in one", []choose.Choice{choice("other", nil, "o", "o")}, `"o" is listed twice`},
		{"same issuer", []choose.Choice{issuerChoice("a", nil, "https://a"), issuerChoice("b", nil, "https://a")}, `"https://a" is listed twice`},
		{"empty prefix", []choose.Choice{good, choice("other", nil, "o", "")}, "empty prefix"},
		{"empty issuer", []choose.Choice{good, issuerChoice("other", nil, "")}, "empty issuer"},
	} {
		v, err := choose.New(tt.choices...)
		if (v == nil) != (tt.wantErr != "") || err == nil != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.wantErr)
		}
	}
}

// What the caller does with its slices later changes nothing.
func TestNewKeepsACopy(t *testing.T) {
	choices := []choose.Choice{choice("a", nil, "a_"), choice("b", errInvalid)}
	v := newVerifier(t, choices...)
	choices[0].Verifier, choices[0].Prefixes[0] = nil, "b_"
	if id, err := v.Verify(t.Context(), "a_1"); id != someone {
		t.Errorf("err = %v", err)
	}
	want := []choose.Step{{Name: "a", Why: choose.Prefix, Identity: someone}, {Name: "b", Why: choose.NotAsked}}
	steps, _ := v.Explain(t.Context(), "a_1")
	if diff := cmp.Diff(want, steps, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}
