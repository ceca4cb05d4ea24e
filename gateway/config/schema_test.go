package config_test

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/rule"
)

// schemaOf makes the JSON Schema of a key from its type and tags. It accepts
// whatever Load accepts; where a key's text has a grammar of its own (URLs,
// rules, bounds), it accepts more.
func schemaOf(t *testing.T, typ reflect.Type, tag reflect.StructTag, doc docs) *jsonschema.Schema {
	t.Helper()
	if typ.Kind() == reflect.Pointer && !config.IsScalar(typ) {
		typ = typ.Elem()
	}
	switch typ {
	case reflect.TypeFor[bool]():
		return &jsonschema.Schema{Type: "boolean"}
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^\+?([0-9.]+(ns|us|µs|μs|ms|s|m|h))+$|^[+-]?0$|^-`}
	case reflect.TypeFor[config.Size]():
		return &jsonschema.Schema{
			Types: []string{"string", "integer"}, Pattern: `^[0-9]+( ?[KMG]iB)?$`,
		}
	case reflect.TypeFor[config.Count]():
		return &jsonschema.Schema{Types: []string{"string", "integer"}, Pattern: `^[0-9]+$`}
	case reflect.TypeFor[config.Place]():
		return placeSchema(tag)
	case reflect.TypeFor[string](), reflect.TypeFor[config.LoginURL]():
		s := &jsonschema.Schema{Type: "string", MinLength: jsonschema.Ptr(1)}
		for _, word := range config.Words(tag, "enum") {
			s.Enum = append(s.Enum, word)
		}
		return s
	case reflect.TypeFor[*url.URL](), reflect.TypeFor[*rule.Rule](), reflect.TypeFor[*rule.Message](), reflect.TypeFor[netip.Prefix]():
		return &jsonschema.Schema{Type: "string", MinLength: jsonschema.Ptr(1)}
	}
	switch typ.Kind() {
	case reflect.Slice:
		list := &jsonschema.Schema{Type: "array", MinItems: jsonschema.Ptr(1), Items: schemaOf(t, typ.Elem(), tag, doc)}
		if tag.Get("one") != "" {
			return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{schemaOf(t, typ.Elem(), tag, doc), list}}
		}
		return list
	case reflect.Struct:
		return objectSchema(t, typ, doc)
	}
	t.Fatalf("no schema for %v", typ)
	return nil
}

func objectSchema(t *testing.T, typ reflect.Type, doc docs) *jsonschema.Schema {
	t.Helper()
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, f := range config.Keys(typ) {
		name := f.Tag.Get("yaml")
		p := schemaOf(t, f.Type, f.Tag, doc)
		p.Description = doc.text(t, typ, f)
		if text, ok := f.Tag.Lookup("default"); ok {
			p.Default = defaultJSON(t, f, text)
		}
		s.Properties[name] = p
		s.PropertyOrder = append(s.PropertyOrder, name)
		if f.Tag.Get("required") != "" {
			s.Required = append(s.Required, name)
		}
	}
	if typ == reflect.TypeFor[config.Verify]() {
		for _, kind := range []string{"introspection", "jwt", "http_check"} {
			s.OneOf = append(s.OneOf, &jsonschema.Schema{Required: []string{kind}})
		}
	}
	return s
}

func placeSchema(tag reflect.StructTag) *jsonschema.Schema {
	var words []any
	var forms []*jsonschema.Schema
	for _, place := range config.Words(tag, "in") {
		if !config.HasName(place) {
			words = append(words, place)
			continue
		}
		forms = append(forms, &jsonschema.Schema{
			Type:                 "object",
			Properties:           map[string]*jsonschema.Schema{place: {Type: "string", MinLength: jsonschema.Ptr(1)}},
			Required:             []string{place},
			AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		})
	}
	return &jsonschema.Schema{AnyOf: append([]*jsonschema.Schema{{Type: "string", Enum: words}}, forms...)}
}

func defaultJSON(t *testing.T, f reflect.StructField, text string) json.RawMessage {
	t.Helper()
	var v any = text
	switch f.Type.Kind() {
	case reflect.Bool:
		v = text == "true"
	case reflect.Slice:
		v = []string{text}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// schema returns the schema of a whole file.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s := schemaOf(t, reflect.TypeFor[config.Config](), "", readDocs(t))
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "Portcullis gateway configuration"
	return s
}

func marshalSchema(t *testing.T) string {
	t.Helper()
	raw, err := json.MarshalIndent(schema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw)) + "\n"
}
