// Package report writes what a run of the benchmark has measured: as a page with
// charts, and as a short table for the README.
package report

// Results are what one run has measured.
type Results struct {
	Date     string // YYYY-MM-DD
	Machine  Machine
	Noise    string // how much the machine's speed varied during the run, in words
	Targets  []Target
	Measures []Measure
}

// A Machine is where a run took place.
type Machine struct {
	CPU       string
	Cores     int
	Kernel    string
	Go        string
	MemoryGiB int
}

// A Target is a proxy, or what stands in for one, that has been measured.
type Target struct {
	ID      string // short, in the values
	Name    string
	Version string
	About   string
	Limit   bool   // authorizes nobody: what the machine allows at all
	Config  string // path of its configuration in bench/; "": it has none
}

// A Measure is one figure about each target.
type Measure struct {
	ID            string
	Name          string
	Unit          string
	About         string
	LowerIsBetter bool
	Values        []Value
}

// A Value is one target's figure.
type Value struct {
	Target  string    // ID
	Median  float64   // of the rounds
	Rounds  []float64 // in the order they were measured
	Missing string    // why there is no figure; "": there is one
}
