//go:build linux

package load

// Response reports whether text is a whole answer of 200.
func Response(text string) (bool, error) { return response([]byte(text)) }
