package report

import (
	"math"
	"strconv"
	"strings"
)

// number writes the three leading digits, and all that are before the point; a
// fraction has no zeros at its end: 1,413, 71, 12.5, 0.213.
func number(v float64) string {
	_, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 2, 64), "e")
	e, _ := strconv.Atoi(exponent) // FormatFloat writes a number there
	s := fixed(v, 2-e)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// fixed writes so many digits after the point, none if that is negative, and
// commas between the thousands.
func fixed(v float64, decimals int) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', max(0, decimals), 64)
	whole, rest, _ := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	if v < 0 {
		whole = "-" + whole
	}
	return whole
}
