package rule

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
)

// The cost of an expression is counted in CEL's units. A thousand take a tenth
// of a millisecond, about.
const (
	costLimit     = 100_000    // of one evaluation
	estimateWorst = 50_000_000 // of one evaluation whose input is as large as below
)

// How large the values of a request are taken to be where the cost of an
// expression is estimated. Nothing enforces these: costLimit holds whatever
// comes.
const (
	assumedText = 1024
	assumedList = 256
)

// An estimator tells CEL the sizes of what is only known when a request comes.
type estimator struct{}

var _ cost.Estimator = estimator{}

// EstimateSize returns how large a variable's value can be.
func (estimator) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if node.ComputedSize() != nil || len(node.Path()) == 0 {
		return nil
	}
	size := cost.RangedSizeEstimate(0, assumedText)
	switch node.Type().Kind() {
	case cel.ListKind, cel.MapKind, cel.DynKind:
		size.Max = assumedList
	}
	return &size
}

// EstimateCallCost leaves the cost of functions to CEL.
func (estimator) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
