package rule

import (
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// MaxLength is how long an expression may be, in Unicode code points.
const MaxLength = 8192

// MaxNesting is how deep comprehensions (exists, all, map, filter) may nest.
const MaxNesting = 2

// maxPattern bounds the program that a pattern of matches() is compiled to.
// (RE2 takes time linear in this and in the length of the text.)
const maxPattern = 1000

// environment returns what every expression is compiled in.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(provider{registry}),
		cel.Variable("identity", identityType),
		cel.Variable("request", requestType),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(),
		cel.ParserExpressionSizeLimit(MaxLength),
		cel.ParserRecursionLimit(64),
		cel.ParserErrorRecoveryLimit(4),
		cel.ExpressionNodeLimit(4096),
		cel.RegexProgramSizeLimit(maxPattern),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateRegexProgramSizeLimit(maxPattern),
			cel.ValidateComprehensionNestingLimit(MaxNesting),
		),
	)
})
