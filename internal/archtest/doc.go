// Package archtest holds no code, only tests: they keep the imports between this
// module's packages pointing one way,
//
//	cmd → gateway, admin, dev → verify, revoke, store → root → internal → std
//
// with no import between siblings. The table is in rules_test.go. A package at a
// new place fails the test until somebody decides where it stands.
package archtest
