package portcullis_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/portcullis-auth/portcullis"
)

func TestCloseStatus(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{
		{portcullis.ErrExpired, "3000 token_expired"},
		{portcullis.ErrRevoked, "3003 session_revoked"},
		{fmt.Errorf("%w: not in the group", portcullis.ErrForbidden), "3003 forbidden"},
		{portcullis.ErrShutdown, "1012 shutdown"},
		{portcullis.ErrUnavailable, "1013 unavailable"},
		{errors.Join(portcullis.ErrForbidden, portcullis.ErrUnavailable), "1013 unavailable"},
		{errors.New("of somebody else's"), "3003 session_revoked"},
	} {
		code, reason := portcullis.CloseStatus(tt.cause)
		if got := fmt.Sprint(code, " ", reason); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.cause, got, tt.want)
		}
	}
}
