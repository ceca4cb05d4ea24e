package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Place is where in a request a token is: in the Authorization header
// (bearer), or in the cookie, query parameter, subprotocol offer, header, or
// field of the body (a form or a JSON object) called Name.
type Place struct {
	In   string // "bearer", "cookie", "query", "subprotocol", "header", "form" or "json"
	Name string // "" for bearer
}

// String returns p in one word or two.
func (p Place) String() string { return strings.TrimSuffix(p.In+" "+p.Name, " ") }

// placeChecks are the places that have a name, and what it may be.
var placeChecks = map[string]func(string) (problem, fix string){
	"cookie":      checkName("cookie"),
	"subprotocol": checkName("subprotocol"),
	"header":      checkTokenHeader,
	"query":       checkQuery,
	"form":        checkField,
	"json":        checkField,
}

// checkField is for a field of a body, which is encoded as needed.
func checkField(string) (problem, fix string) { return "", "" }

// decodePlace reads `bearer`, or one key with the name as its value: `cookie:
// session`.
func decodePlace(d *decoder, n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) (problem, fix string) {
	allowed := strings.Fields(tag.Get("in"))
	how := "write " + spell(allowed)
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str":
		switch {
		case !slices.Contains(allowed, n.Value):
			return "is no place for a token", how
		case placeChecks[n.Value] != nil:
			return "needs a name", "write " + n.Value + ": NAME"
		}
		v.Set(reflect.ValueOf(Place{In: n.Value}))
		return "", ""
	case n.Kind != yaml.MappingNode || len(n.Content) != 2:
		return "must be one place for a token, but is " + several(n), how
	}
	in, name := n.Content[0], n.Content[1]
	if name.Kind == yaml.AliasNode && name.Alias != nil {
		name = name.Alias
	}
	switch {
	case in.Kind != yaml.ScalarNode || !slices.Contains(allowed, in.Value):
		return "is no place for a token", how
	case placeChecks[in.Value] == nil:
		return in.Value + " takes no name", "write " + in.Value + " alone"
	}
	path := key + "." + in.Value
	d.seen[path] = place(name)
	s, problem, fix := text(name)
	if problem == "" {
		problem, fix = placeChecks[in.Value](s)
	}
	if problem != "" {
		d.fail(path, problem, fix)
		return "", ""
	}
	v.Set(reflect.ValueOf(Place{In: in.Value, Name: s}))
	return "", ""
}

func several(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		return "none or several"
	}
	return kindOf(n)
}

// spell lists places as they are written.
func spell(places []string) string {
	var list []string
	for _, p := range places {
		if placeChecks[p] != nil {
			p += ": NAME"
		}
		list = append(list, p)
	}
	if last := len(list) - 1; last > 0 {
		return strings.Join(list[:last], ", ") + " or " + list[last]
	}
	return strings.Join(list, "")
}
