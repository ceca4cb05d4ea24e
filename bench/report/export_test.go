package report

// For the tests of package report_test.
var (
	Number = number
	Scale  = scale
	Short  = short
	Spread = spread
)
