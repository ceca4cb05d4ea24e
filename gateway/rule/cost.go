package rule

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
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

// comparisons counts what a comparison of lists or maps costs: CEL counts their
// own elements, and not what those consist of.
var comparisons = cel.CostTrackerOptions(
	cost.OverloadTracker(overloads.Equals, lesserWeight),
	cost.OverloadTracker(overloads.NotEquals, lesserWeight),
	cost.OverloadTracker(overloads.InList, func(args []ref.Val, _ ref.Val) *uint64 {
		if !isContainer(args[0]) { // differs from a list or map by its type
			return nil
		}
		return new(weight(args[1]))
	}),
)

// lesserWeight returns nil, CEL's own count, for what isn't two lists or maps.
func lesserWeight(args []ref.Val, _ ref.Val) *uint64 {
	if !isContainer(args[0]) || !isContainer(args[1]) {
		return nil
	}
	return new(min(weight(args[0]), weight(args[1])))
}

func isContainer(v ref.Val) bool { return v.Type() == types.ListType || v.Type() == types.MapType }

// weight returns how many values v consists of: a CEL value, or what is in one.
func weight(v any) (n uint64) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += weight(e)
		}
	case []ref.Val:
		for _, e := range v {
			n += weight(e)
		}
	case map[string]any:
		for _, e := range v {
			n += weight(e)
		}
	case map[ref.Val]ref.Val:
		for _, e := range v {
			n += weight(e)
		}
	case traits.Sizer:
		if inner, ok := v.(ref.Val); ok && isContainer(inner) {
			size, _ := v.Size().Value().(int64)
			return max(weight(inner.Value()), uint64(size)+1) // of some lists Value is another type
		}
	}
	return n + 1
}
