package config

import (
	"fmt"
	"log/slog"
)

// A Secret is text that doesn't print itself: not by fmt, in logs, as JSON or
// as YAML. The zero Secret is none. == doesn't compare what Secrets hold: that would
// tell how much of them is right by the time it takes.
type Secret struct {
	// A pointer, since fmt looks into the fields of a value inside one whose verb
	// is wrong, without asking their methods, but not behind pointers. Nil: none.
	text *string
}

const redacted = "REDACTED"

var (
	_ fmt.Formatter  = Secret{}
	_ slog.LogValuer = Secret{}
)

// NewSecret returns a Secret that holds the text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is none.
func (s Secret) IsZero() bool { return s.text == nil }

// Format writes REDACTED, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns REDACTED.
func (s Secret) String() string { return redacted }

// GoString returns REDACTED.
func (s Secret) GoString() string { return redacted }

// LogValue returns REDACTED.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
