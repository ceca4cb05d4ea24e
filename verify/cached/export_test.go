package cached

// Reached is what decides whether a time has come.
var Reached = reached

// Key returns what the memory knows the token by.
func (v *Verifier) Key(token string) [32]byte { return v.key(token) }

// Fail does what a call does that could not tell.
func (v *Verifier) Fail() { v.outage.failed() }

// Trial does what an outage does to find out whether it is over.
func (v *Verifier) Trial() { v.trial(false) }

// A Memory is how much a Verifier remembers.
type Memory struct {
	Entries int
	Bytes   int64 // by its own reckoning
}

// Memory returns how much is remembered for yes, and for no.
func (v *Verifier) Memory() (good, bad Memory) {
	v.good.CleanUp()
	good = Memory{v.good.EstimatedSize(), int64(v.good.WeightedSize())}
	if v.bad != nil {
		v.bad.CleanUp()
		bad = Memory{v.bad.EstimatedSize(), int64(v.bad.WeightedSize())}
	}
	return good, bad
}
