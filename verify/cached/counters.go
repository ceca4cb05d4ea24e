package cached

import "sync/atomic"

// Counters are what has happened since the Verifier was made, and how it
// stands. Each Verify counts as one of Hits, Negative and Misses, unless the
// token is too long.
type Counters struct {
	Hits     uint64 `json:"hits"`     // a yes was remembered
	Negative uint64 `json:"negative"` // a no was remembered
	Misses   uint64 `json:"misses"`   // neither was

	// Of the misses:
	Coalesced uint64 `json:"coalesced"` // joined the call of another
	Refused   uint64 `json:"refused"`   // were turned away, the circuit being open
	Stale     uint64 `json:"stale"`     // got an old yes, since nobody could tell

	Calls  uint64 `json:"calls"`  // made to the wrapped Verifier, also about made-up tokens
	Errors uint64 `json:"errors"` // calls that could not tell, but for those given up

	InFlight    int  `json:"in_flight"`    // calls being made now
	CircuitOpen bool `json:"circuit_open"` // or half open
}

// counts are the Counters that grow.
type counts struct {
	hits, negative, misses, coalesced, refused, stale, calls, errors atomic.Uint64
}

// Counters returns the numbers as they are now. They are read one after the
// other: while Verify is called, they may not add up.
func (v *Verifier) Counters() Counters {
	return Counters{
		Hits:        v.count.hits.Load(),
		Negative:    v.count.negative.Load(),
		Misses:      v.count.misses.Load(),
		Coalesced:   v.count.coalesced.Load(),
		Refused:     v.count.refused.Load(),
		Stale:       v.count.stale.Load(),
		Calls:       v.count.calls.Load(),
		Errors:      v.count.errors.Load(),
		InFlight:    len(v.slots),
		CircuitOpen: v.circuit.isOpen(),
	}
}
