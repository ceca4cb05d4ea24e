package main

import (
	"context"
	"fmt"

	"github.com/portcullis-auth/portcullis/bench/internal/gate"
)

// configuration is the gateway's. JWTs with keys in a file: nobody has to be
// asked about a token, so that nothing but the gateway is measured.
const configuration = `listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
leeway: %v
grace: %v
verify:
  jwt: {issuer: %s, audience: %s, keys_file: keys.json}
routes:
  - {path: /, backend: "http://%s"}
  - {path: /others, backend: "http://%s"}
`

// startGateway starts a gateway before two backends, and returns once it serves.
func startGateway(ctx context.Context, p *plan, dir, backend, others string) (*gate.Gate, error) {
	return gate.Start(ctx, p.gateway, dir, fmt.Sprintf(configuration, leeway, p.grace, issuerName, audience, backend, others))
}
