package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes.
type Size int64

const sizeHow = "write a number of bytes, as in 512, 64KiB or 1MiB"

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// ParseSize reads a whole number of bytes, or of KiB, MiB or GiB: "512",
// "64KiB", "1 MiB". KB and MB, which are 1000 to some and 1024 to others, are
// errors.
func ParseSize(s string) (Size, error) {
	unit := int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSuffix(rest, " "), u.bytes
			break
		}
	}
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, errors.New("is not a size")
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/unit:
		return 0, errors.New("is too large")
	case err != nil:
		return 0, errors.New("is not a size")
	}
	return Size(n * unit), nil
}

// String returns s as ParseSize reads it, in the largest unit that fits.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText returns String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
