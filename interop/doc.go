// Package interop holds tests only: of the Verifiers, and of the gateway, against
// token systems that others made (npm oidc-provider, and zitadel/oidc in
// process), and against hostile ones; of what these tell about people who are to
// go, with a backend in Node and a page in Chromium; and of the gateway between
// clients and backends that others made (npm ws and Socket.IO). Nothing that they
// make us say may hold a token or a secret; that is checked at the end, over
// everything that was said in the whole run.
package interop
