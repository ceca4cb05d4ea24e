package httpcheck

import "encoding/json"

// Find is what the fuzz target compares: the value that name points to.
func Find(name string, members map[string]json.RawMessage) (json.RawMessage, error) {
	p, err := parsePointer(name)
	if err != nil {
		return nil, err
	}
	return p.find(members)
}
