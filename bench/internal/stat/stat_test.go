package stat_test

import (
	"slices"
	"testing"

	"github.com/portcullis-auth/portcullis/bench/internal/stat"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, 0},
		{"one", []float64{7}, 7},
		{"odd", []float64{9, 1, 3}, 3},
		{"even", []float64{4, 1, 100, 2}, 3},
		{"negative", []float64{-5, -1, -3}, -3},
	} {
		given := slices.Clone(test.values)
		if got := stat.Median(test.values); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if !slices.Equal(given, test.values) {
			t.Errorf("%s: the values were put in another order", test.name)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := make([]int, 200)
	for i := range values {
		values[i] = 200 - i // 1 to 200, not in order
	}
	for _, test := range []struct {
		name   string
		values []int
		p      int
		want   int
	}{
		{"least", values, 0, 1},
		{"half", values, 50, 100},
		{"two are worse", values, 99, 198},
		{"greatest", values, 100, 200},
		{"of one", values[:1], 99, 200},
		{"of none", nil, 99, 0},
	} {
		if got := stat.Quantile(test.values, test.p); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
