//go:build !linux

package relay_test

import (
	"testing"

	"github.com/portcullis-auth/portcullis/gateway/relay"
)

func everyClock(t *testing.T, o relay.Options, f func(t *testing.T, l timed)) { everyPipe(t, o, f) }
