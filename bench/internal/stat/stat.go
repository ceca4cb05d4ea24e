// Package stat says in few figures what many have in common.
package stat

import (
	"cmp"
	"slices"
)

// Median returns the middle of the values, or the mean of the two in the middle;
// 0 if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s, half := slices.Sorted(slices.Values(values)), len(values)/2
	if len(s)%2 == 1 {
		return s[half]
	}
	return (s[half-1] + s[half]) / 2
}

// Quantile returns the smallest of the values that p of a hundred don't exceed;
// zero if there are none.
func Quantile[T cmp.Ordered](values []T, p int) (least T) {
	if len(values) == 0 {
		return least
	}
	s := slices.Sorted(slices.Values(values))
	return s[max(0, (len(s)*p+99)/100-1)]
}
