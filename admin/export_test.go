package admin

import (
	"maps"
	"slices"
)

// Endpoints returns method and path of everything that there is.
func Endpoints(c Config) []string {
	list := []string{"GET /livez", "GET /readyz"}
	for _, e := range (&api{Config: c}).endpoints() {
		list = append(list, e.method+" "+e.path)
	}
	return list
}

// Filters returns the parameters that narrow a list.
func Filters() []string { return slices.Sorted(maps.Keys(filters)) }

// Explain is explain.
var Explain = explain
