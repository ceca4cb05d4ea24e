package interop

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
)

// said is everything that this run made Verifiers and gateways say, and what
// must not be in it.
var said transcript

func TestMain(m *testing.M) {
	log.SetOutput(&said) // net/http logs there
	goleak.VerifyTestMain(stopping{m}, goleak.Cleanup(func(code int) {
		for _, name := range said.leaks() {
			fmt.Fprintf(os.Stderr, "an error or a log line of this run holds %s\n", name)
			code = 1
		}
		os.Exit(code)
	}))
}

// stopping stops what tests have started for each other.
type stopping struct{ *testing.M }

func (s stopping) Run() int {
	code := s.M.Run()
	if p := theOIDCProvider.oidcProvider; p != nil {
		if err := p.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// A transcript is safe for concurrent use.
type transcript struct {
	mu      sync.Mutex
	lines   map[string]bool
	secrets map[string]string // their names
}

// Write takes a log line, or an error.
func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines == nil {
		t.lines = make(map[string]bool)
	}
	t.lines[string(p)] = true
	return len(p), nil
}

// secret says that s, of 16 characters or more, must not be said, and returns it.
func (t *transcript) secret(name, s string) string {
	if len(s) < 16 {
		panic(name + " is too short to be looked for")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.secrets == nil {
		t.secrets = make(map[string]string)
	}
	t.secrets[s] = name
	return s
}

// window is how much of a secret nobody says by chance.
const window = 12

// leaks returns the names of the secrets of which at least 16 characters in a
// row were said, as they are or encoded, in upper or lower case.
func (t *transcript) leaks() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pieces := make(map[string]bool)
	for line := range t.lines {
		line = strings.ToLower(line)
		for i := range max(0, len(line)-window+1) {
			pieces[line[i:i+window]] = true
		}
	}
	for secret, name := range t.secrets {
		if slices.ContainsFunc(forms(secret), func(form string) bool { return pieceOf(form, pieces) }) {
			names = append(names, name)
		}
	}
	return names
}

// pieceOf reports whether a piece of the form is among those; every fourth is
// looked for.
func pieceOf(form string, pieces map[string]bool) bool {
	form = strings.ToLower(form)
	for i := 0; i+window <= len(form); i += 4 {
		if pieces[form[i:i+window]] {
			return true
		}
	}
	return false
}

// forms returns the ways in which a secret may be written.
func forms(secret string) []string {
	list := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret))}
	for before := range 3 { // base64 of something that the secret is in
		raw := []byte(strings.Repeat("x", before) + secret)
		for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			coded := coding.EncodeToString(raw)
			// The characters at the ends depend on the neighbours.
			if len(coded) > 24 {
				coded = coded[4 : len(coded)-4]
			}
			list = append(list, coded)
		}
	}
	return list
}

// heard takes note of what an error says, and returns it.
func heard(err error) error {
	if err != nil {
		_, _ = fmt.Fprintf(&said, "%v %+v", err, err)
	}
	return err
}

// opaque returns a fresh token that must not be said.
func opaque(name string) string { return said.secret(name, "opaque_"+rand.Text()+rand.Text()) }

// verify asks a Verifier. The error, of which it takes note, must be of one
// kind: nil, or a no, or that nobody can tell.
func verify(t testing.TB, v portcullis.Verifier, token string, want error) *portcullis.Identity {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	if err = heard(err); !errors.Is(err, want) || want == nil && id == nil {
		t.Errorf("identity %v, err = %v; want %v", id, err, want)
	}
	if err != nil && id != nil {
		t.Errorf("an identity besides the error %v", err)
	}
	if errors.Is(err, portcullis.ErrUnavailable) && errors.Is(err, portcullis.ErrInvalid) {
		t.Errorf("err = %v is both a no and an outage", err)
	}
	return id
}

// The net is fine enough.
func TestLeaksAreFound(t *testing.T) {
	secret := "opaque_" + rand.Text() + rand.Text() + "+/="
	basic := base64.StdEncoding.EncodeToString([]byte("gateway:" + secret))
	for name, line := range map[string]string{
		"as it is":    "bad token " + secret,
		"a part":      "bad token " + secret[9:26] + "…",
		"upper case":  strings.ToUpper(secret),
		"quoted":      fmt.Sprintf("%q", secret),
		"in a URL":    "/?token=" + url.QueryEscape(secret),
		"in hex":      hex.EncodeToString([]byte(secret)),
		"credentials": "Basic " + basic,
		"in a token":  base64.RawURLEncoding.EncodeToString([]byte(`{"a":"` + secret + `"}`)),
	} {
		var tr transcript
		tr.secret("the secret", secret)
		_, _ = tr.Write([]byte("portcullis: token not valid: opaque_"))
		if got := tr.leaks(); got != nil {
			t.Errorf("%s: found beforehand", name)
		}
		_, _ = tr.Write([]byte(line))
		if got := tr.leaks(); len(got) != 1 {
			t.Errorf("%s: not found", name)
		}
	}
}
