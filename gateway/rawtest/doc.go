// Package rawtest holds tests only: it sends the gateway hostile bytes, and
// holds what comes out, at the backend and at the client, to a strict reading of
// RFC 9112 that is written here, beside net/http's.
//
// Whatever reaches the backend is what the strict reader reads from the client's
// bytes, request by request. Where net/http is more lenient before a handler sees
// anything, the strict reader has a named exception: those are all that there
// are, and each says what becomes of it.
package rawtest
