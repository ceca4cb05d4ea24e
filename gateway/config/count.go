package config

import (
	"errors"
	"strconv"
)

// A Count is a whole number of things.
type Count int64

// parseCount reads decimal digits.
func parseCount(s string) (Count, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, errors.New("is not a whole number")
	}
	return Count(n), nil
}
