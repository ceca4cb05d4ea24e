package choose

// IssuerOf is what [Verifier.Verify] takes for the issuer of a token.
var IssuerOf = issuer
