package jwt_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/jwt"
)

// J2: the edges of the leeway, to the second.
func TestJ2Leeway(t *testing.T) {
	for _, tt := range []struct {
		claim  string
		offset float64 // from now, in seconds
		leeway time.Duration
		want   string
	}{
		{"exp", -59, 0, ""},
		{"exp", -59.5, 0, ""},
		{"exp", -60, 0, "expired"},
		{"exp", -61, 0, "expired"},
		{"exp", -4, 5 * time.Second, ""},
		{"exp", -5, 5 * time.Second, "expired"},
		{"nbf", 60, 0, ""},
		{"nbf", 60.5, 0, "nbf"},
		{"nbf", 61, 0, "nbf"},
		{"nbf", 5, 5 * time.Second, ""},
		{"nbf", 6, 5 * time.Second, "nbf"},
		{"iat", 60, 0, ""},
		{"iat", 61, 0, "iat"},
		{"iat", 5, 5 * time.Second, ""},
		{"iat", 6, 5 * time.Second, "iat"},
	} {
		t.Run(fmt.Sprint(tt.claim, tt.offset, tt.leeway), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVerifier(t, jwt.Config{Issuer: issuer, Keys: public(), Leeway: tt.leeway})
				token := good(object{tt.claim: float64(time.Now().Unix()) + tt.offset})
				check(t, v, token, tt.want)
				_, err := v.Verify(t.Context(), token)
				if got := errors.Is(err, portcullis.ErrExpired); got != (tt.want == "expired") {
					t.Errorf("expired: %v, %v", got, err)
				}
			})
		})
	}
}

// J2: it is the time of each call that counts.
func TestJ2ExpiresLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, jwt.Config{})
		token := good(object{"exp": time.Now().Unix() + 10})
		time.Sleep(69 * time.Second)
		check(t, v, token, "")
		time.Sleep(time.Second)
		check(t, v, token, "expired")
	})
}
