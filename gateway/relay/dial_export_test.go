package relay

import "net/http"

// Head returns what a backend is asked with, unless that may not be sent.
func Head(r *http.Request) (head []byte, ok bool) { return appendHead(nil, r) }
