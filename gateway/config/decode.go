package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxNodes bounds what aliases can blow a file up to.
const maxNodes = 100_000

// A decoder fills a Config from YAML by its types and their tags:
//
//	yaml:"name"       the key
//	default:"text"    what stands for a key that isn't there
//	required:"true"   the key must be there
//	min:"1s" max:"1m" bounds
//	enum:"a b"        the words that are allowed
//	in:"a b"          the places that are allowed
//	one:"true"        one value stands for a list of it
//	check:"name"      one of checks
//
// It goes on after an error, until there are maxErrors.
type decoder struct {
	file   string
	errs   Errors
	seen   map[string]position // where each key that the file has stands
	failed map[string]bool     // keys with an error
	nodes  int
}

// A position is a line and a column, from 1.
type position struct{ line, column int }

func place(n *yaml.Node) position { return position{max(n.Line, 1), n.Column} }

func (d *decoder) add(at position, key, problem, fix string) {
	d.failed[key] = true
	if d.full() {
		return
	}
	d.errs = append(d.errs, &Error{File: d.file, Line: at.line, Column: at.column, Key: key, Problem: problem, Fix: fix})
}

// maxErrors is how many mistakes are reported, so that a file that is something
// else altogether doesn't take minutes and megabytes.
const maxErrors = 200

func (d *decoder) full() bool { return len(d.errs) >= maxErrors }

// fail adds an error about a key. If the file doesn't have the key, the error
// points at what it should stand in.
func (d *decoder) fail(key, problem, fix string) {
	d.add(d.find(key), key, problem, fix)
}

func (d *decoder) find(key string) position {
	for k := key; ; {
		if at, ok := d.seen[k]; ok {
			return at
		}
		i := strings.LastIndexAny(k, ".[")
		if i < 0 {
			break
		}
		k = k[:i]
	}
	if at, ok := d.seen[""]; ok {
		return at
	}
	return position{line: 1}
}

func (d *decoder) has(key string) bool { _, ok := d.seen[key]; return ok }

// config decodes the whole file.
func (d *decoder) config(root *yaml.Node, c *Config) {
	d.seen[""] = place(root)
	d.value(root, reflect.ValueOf(c).Elem(), "", "")
}

// value decodes n into v, the value of key.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.add(place(n), key, fmt.Sprintf("the file holds more than %d values", maxNodes), "use fewer aliases")
		}
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.fail(key, "has no value", "give it one, or remove the key")
		return
	}
	if kind, ok := scalars[v.Type()]; ok {
		if problem, fix := kind.decode(d, n, v, key, tag); problem != "" {
			d.fail(key, problem, fix)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), key, tag)
	case reflect.Struct:
		d.mapping(n, v, key)
	case reflect.Slice:
		d.list(n, v, key, tag)
	default:
		panic("config: no decoder for " + v.Type().String())
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	if n.Kind != yaml.SequenceNode && tag.Get("one") != "" {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.value(n, v.Index(0), key, tag)
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(key, "must be a list, but is "+kindOf(n), "begin each entry with a hyphen")
		return
	}
	if len(n.Content) == 0 {
		d.fail(key, "is an empty list", "add an entry, or remove the key")
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, min(len(n.Content), 64))
	for i, item := range n.Content {
		itemKey := key + "[" + strconv.Itoa(i) + "]"
		d.seen[itemKey] = place(item)
		list = reflect.Append(list, reflect.Zero(v.Type().Elem()))
		d.value(item, list.Index(i), itemKey, tag)
	}
	v.Set(list)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.fail(key, "must be keys with values, but is "+kindOf(n), "its keys are "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	known := fieldsOf(v.Type())
	first := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" && name.ShortTag() != "!!merge" {
			d.add(place(name), key, "a key must be a word, but is "+kindOf(name), "its keys are "+strings.Join(keysOf(v.Type()), ", "))
			continue
		}
		path := join(key, name.Value)
		if line, ok := first[name.Value]; ok {
			d.add(place(name), clip(path), fmt.Sprintf("duplicate key, first on line %d", line), "remove one of them")
			continue
		}
		first[name.Value] = place(name).line
		field, ok := known[name.Value]
		if !ok && d.full() {
			continue
		}
		if !ok {
			problem, fix := "unknown key", instead(name.Value, keysOf(v.Type()))
			d.add(place(name), clip(path), problem, fix)
			continue
		}
		d.seen[path] = place(value)
		if value.Kind != yaml.ScalarNode || value.ShortTag() == "!!null" {
			d.seen[path] = place(name)
		}
		d.value(value, v.FieldByIndex(field.Index), path, field.Tag)
	}
	d.absent(v, key, first)
}

// absent deals with the keys that aren't in present.
func (d *decoder) absent(v reflect.Value, key string, present map[string]int) {
	for _, field := range orderedFields(v.Type()) {
		name := field.Tag.Get("yaml")
		if _, ok := present[name]; ok {
			continue
		}
		path, value := join(key, name), v.FieldByIndex(field.Index)
		text, hasDefault := field.Tag.Lookup("default")
		switch {
		case hasDefault:
			// A default goes the way of a value in the file, so that it can't
			// be one that the file may not have.
			node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
			if field.Type.Kind() == reflect.Bool {
				node.Tag = "!!bool"
			}
			if field.Type.Kind() == reflect.Slice {
				node = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{node}}
			}
			d.value(node, value, path, field.Tag)
			delete(d.seen, path+"[0]")
		case field.Tag.Get("required") != "":
			d.fail(path, "is missing", "add it")
		case value.Kind() == reflect.Struct && scalars[value.Type()] == nil:
			d.absent(value, path, nil)
		}
	}
}

// orderedFields returns the fields of a struct that have a key.
func orderedFields(t reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("yaml"); name != "" && name != "-" {
			fields = append(fields, f)
		}
	}
	return fields
}

func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	known := make(map[string]reflect.StructField)
	for _, f := range orderedFields(t) {
		known[f.Tag.Get("yaml")] = f
	}
	return known
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range orderedFields(t) {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	slices.Sort(keys)
	return keys
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// kindOf says what a node is, without its value.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	}
	return "of a type of its own"
}
