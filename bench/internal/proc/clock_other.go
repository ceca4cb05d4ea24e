//go:build !linux

package proc

import (
	"errors"
	"time"
)

// CPU is not known here.
func (g Group) CPU() (time.Duration, error) { return 0, errors.ErrUnsupported }
