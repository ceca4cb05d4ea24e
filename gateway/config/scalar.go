package config

import (
	"errors"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis-auth/portcullis/gateway/rule"
)

// A scalar decodes a node into a value of one type. It returns what is wrong,
// or nothing.
type scalar struct {
	decode func(d *decoder, n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) (problem, fix string)
}

// scalars are the types that the decoder doesn't take apart.
var scalars map[reflect.Type]*scalar

func init() { // scalars and places refer to each other
	scalars = map[reflect.Type]*scalar{
		reflect.TypeFor[string]():        {decode: decodeText},
		reflect.TypeFor[LoginURL]():      {decode: decodeText},
		reflect.TypeFor[bool]():          {decode: decodeBool},
		reflect.TypeFor[time.Duration](): {decode: decodeDuration},
		reflect.TypeFor[Size]():          {decode: decodeSize},
		reflect.TypeFor[Count]():         {decode: decodeCount},
		reflect.TypeFor[*url.URL]():      {decode: decodeURL},
		reflect.TypeFor[*rule.Rule]():    {decode: decodeRule},
		reflect.TypeFor[*rule.Message](): {decode: decodeMessageRule},
		reflect.TypeFor[Place]():         {decode: decodePlace},
		reflect.TypeFor[netip.Prefix]():  {decode: decodeNetwork},
	}
}

// text returns the text of n, which must be one on one line.
func text(n *yaml.Node) (s, problem, fix string) {
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
		fix = "write text"
		if n.Kind == yaml.ScalarNode {
			fix = "put it in quotes"
		}
		return "", "must be text, but is " + kindOf(n), fix
	case n.Value == "":
		return "", "is empty", "give it a value, or remove the key"
	case strings.TrimSpace(n.Value) != n.Value:
		return "", "begins or ends with a space or line break", "remove it"
	case strings.ContainsFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", "holds a character that can't be printed", "write it on one line, without control characters"
	}
	return n.Value, "", ""
}

func decodeText(_ *decoder, n *yaml.Node, v reflect.Value, _ string, tag reflect.StructTag) (problem, fix string) {
	s, problem, fix := text(n)
	if problem != "" {
		return problem, fix
	}
	if words := strings.Fields(tag.Get("enum")); len(words) > 0 && !slices.Contains(words, s) {
		return "is none of the words allowed", "write " + strings.Join(words, " or ")
	}
	if name := tag.Get("check"); name != "" {
		if problem, fix := checks[name](s); problem != "" {
			return problem, fix
		}
	}
	v.SetString(s)
	return "", ""
}

func decodeBool(_ *decoder, n *yaml.Node, v reflect.Value, _ string, _ reflect.StructTag) (problem, fix string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		return "must be true or false, but is " + kindOf(n), "write true or false, without quotes"
	}
	v.SetBool(strings.EqualFold(n.Value, "true"))
	return "", ""
}

func decodeDuration(_ *decoder, n *yaml.Node, v reflect.Value, _ string, tag reflect.StructTag) (problem, fix string) {
	const how = "write a number with a unit, as in 500ms, 10s, 5m or 24h"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return "must be a duration, but is " + kindOf(n), how
	}
	t, err := time.ParseDuration(n.Value)
	switch {
	case err != nil:
		return "is not a duration", how
	case t < 0:
		return "is negative", how
	}
	if problem, fix := bounds(t, tag, time.ParseDuration, "short", "long"); problem != "" {
		return problem, fix
	}
	v.SetInt(int64(t))
	return "", ""
}

func decodeSize(_ *decoder, n *yaml.Node, v reflect.Value, _ string, tag reflect.StructTag) (problem, fix string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!int" {
		return "must be a size, but is " + kindOf(n), sizeHow
	}
	size, err := ParseSize(n.Value)
	if err != nil {
		return err.Error(), sizeHow
	}
	if problem, fix := bounds(size, tag, ParseSize, "small", "large"); problem != "" {
		return problem, fix
	}
	v.SetInt(int64(size))
	return "", ""
}

func decodeCount(_ *decoder, n *yaml.Node, v reflect.Value, _ string, tag reflect.StructTag) (problem, fix string) {
	const how = "write a number, as in 10"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!int" {
		return "must be a number, but is " + kindOf(n), how
	}
	count, err := parseCount(n.Value)
	if err != nil {
		return err.Error(), how
	}
	if problem, fix := bounds(count, tag, parseCount, "small", "large"); problem != "" {
		return problem, fix
	}
	v.SetInt(int64(count))
	return "", ""
}

// bounds tests the tags min and max.
func bounds[T ~int64](got T, tag reflect.StructTag, parse func(string) (T, error), below, above string) (problem, fix string) {
	limit := func(name string) (T, bool) {
		text := tag.Get(name)
		if text == "" {
			return 0, false
		}
		limit, err := parse(text)
		if err != nil {
			panic("config: tag " + name + ": " + err.Error())
		}
		return limit, true
	}
	if least, ok := limit("min"); ok && got < least {
		return "is too " + below, "write " + tag.Get("min") + " or more"
	}
	if most, ok := limit("max"); ok && got > most {
		return "is too " + above, "write " + tag.Get("max") + " or less"
	}
	return "", ""
}

func decodeURL(_ *decoder, n *yaml.Node, v reflect.Value, _ string, tag reflect.StructTag) (problem, fix string) {
	s, problem, fix := text(n)
	if problem != "" {
		return problem, fix
	}
	u, problem, fix := parseURL(s)
	if problem == "" {
		problem, fix = urlChecks[tag.Get("check")](u)
	}
	if problem != "" {
		return problem, fix
	}
	v.Set(reflect.ValueOf(u))
	return "", ""
}

func decodeRule(d *decoder, n *yaml.Node, v reflect.Value, key string, _ reflect.StructTag) (problem, fix string) {
	return compiled(d, n, v, key, rule.Compile)
}

func decodeMessageRule(d *decoder, n *yaml.Node, v reflect.Value, key string, _ reflect.StructTag) (problem, fix string) {
	return compiled(d, n, v, key, rule.CompileMessage)
}

func compiled[T any](d *decoder, n *yaml.Node, v reflect.Value, key string, compile func(string) (T, error)) (problem, fix string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return "must be an expression, but is " + kindOf(n), "put it in single quotes"
	}
	r, err := compile(n.Value)
	var mistakes rule.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			problem, fix, _ := strings.Cut(m.Message, "; ")
			d.add(within(n, m), key, problem, fix)
		}
		return "", ""
	}
	if err != nil {
		return err.Error(), ""
	}
	v.Set(reflect.ValueOf(r))
	return "", ""
}

// within returns where in the file a mistake in an expression stands. Of folded
// text (which YAML puts together from several lines) it is known only where it
// begins.
func within(n *yaml.Node, m *rule.Error) position {
	at := place(n)
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		return position{line: at.line + m.Line}
	case n.Style&(yaml.FoldedStyle|yaml.DoubleQuotedStyle) != 0 || strings.Contains(n.Value, "\n"):
		return at
	case n.Style&yaml.SingleQuotedStyle != 0:
		at.column++
	}
	// An apostrophe in single quotes is written twice.
	if n.Style&yaml.SingleQuotedStyle == 0 || !strings.Contains(n.Value, "'") {
		at.column += m.Column - 1
	}
	return at
}
