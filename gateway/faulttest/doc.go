// Package faulttest has the tests of what the gateway does while what it stands
// on fails: descriptors run out (L3), the token system or a backend dies and
// comes back under load (L4), a peer is slow, stuck or gone (L1). The parts are
// real: a gateway, in this process or in one of its own where that is needed, and
// a TCP proxy that breaks what is between it and the others.
//
// Each test counts what reached a backend without a yes of the token system.
// It must be nothing.
package faulttest
