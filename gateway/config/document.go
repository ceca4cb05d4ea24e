package config

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// maxDepth is how deep mappings and lists may nest; the deepest key here is at 5.
const maxDepth = 20

// document returns the mapping that the text is, or nil.
func (d *decoder) document(text []byte) *yaml.Node {
	if line, column, ok := notText(text); ok {
		d.add(position{line, column}, "", "not text in UTF-8", "save the file as UTF-8 without control characters")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		d.add(position{line: 1}, "", "cannot be read as YAML: "+err.Error(), "")
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		d.add(position{line: 1}, "", "empty", "it needs verify and routes at least")
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
		return nil
	default:
		d.add(place(&second), "", "a second YAML document", "put everything in one document, without a line ---")
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		d.add(position{line: 1}, "", "empty", "it needs verify and routes at least")
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		d.add(place(root), "", "empty", "it needs verify and routes at least")
		return nil
	}
	return root
}

// syntax adds the parser's error.
func (d *decoder) syntax(err error) {
	at, message := position{line: 1}, err.Error()
	var loadErr *yaml.LoadError
	if errors.As(err, &loadErr) {
		message = loadErr.Message
		if loadErr.ContextMsg != "" {
			message = loadErr.ContextMsg + ": " + message
		}
		if loadErr.Mark.Line > 0 {
			at = position{loadErr.Mark.Line, loadErr.Mark.Column}
		}
	}
	d.add(at, "", "not YAML: "+message, "")
}

// notText finds the first byte that YAML doesn't allow (YAML 1.2, section 5.1),
// since the parser tells no line for these.
func notText(text []byte) (line, column int, found bool) {
	line, column = 1, 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size <= 1,
			r < ' ' && !strings.ContainsRune("\t\n\r", r),
			r >= 0x7f && r < 0xa0 && r != 0x85,
			r == 0xfffe, r == 0xffff,
			r == '\ufeff' && i > 0:
			return line, column, true
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		i += size
	}
	return 0, 0, false
}
