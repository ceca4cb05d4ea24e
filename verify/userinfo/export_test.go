package userinfo

// What TestI2Place and the fuzz target look at.
var (
	Place      = place
	Read       = read
	Merge      = merge
	IsProtocol = isProtocol
)

// Known is how many answers are remembered.
func (v *Verifier) Known() int {
	v.known.CleanUp()
	return v.known.EstimatedSize()
}
