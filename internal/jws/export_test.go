package jws

// Verified is verified, for tests.
var Verified = verified
