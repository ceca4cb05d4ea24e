package config

import (
	"reflect"
	"strings"
)

// Parse is Load of text, in a world of these files and variables.
func Parse(text string, files, vars map[string]string) (*Config, error) {
	return parse("portcullis.yaml", []byte(text), outside{
		read: func(name string, _ int64) ([]byte, error) {
			if s, ok := files[name]; ok {
				return []byte(s), nil
			}
			return nil, errNoFile
		},
		env: func(name string) (string, bool) {
			s, ok := vars[name]
			return s, ok
		},
		folder: func(name string) error {
			if name == "keys" || name == "/var/lib/portcullis" {
				return nil
			}
			return errNoFile
		},
	})
}

type noFile struct{}

func (noFile) Error() string { return "no such file or directory" }

var errNoFile = noFile{}

// Keys returns the fields of a struct that have a key.
func Keys(t reflect.Type) []reflect.StructField { return orderedFields(t) }

// IsScalar reports whether the decoder doesn't take a type apart.
func IsScalar(t reflect.Type) bool { return scalars[t] != nil }

// HasName reports whether a place has a name.
func HasName(place string) bool { return placeChecks[place] != nil }

// Words returns the words of a tag.
func Words(tag reflect.StructTag, name string) []string { return strings.Fields(tag.Get(name)) }
