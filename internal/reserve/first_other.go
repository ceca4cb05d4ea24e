//go:build !unix

package reserve

import "math"

func first() uint64 { return math.MaxUint64 }
