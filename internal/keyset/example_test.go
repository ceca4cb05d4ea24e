package keyset_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portcullis-auth/portcullis/internal/keyset"
)

func Example() {
	// Stands for the issuer's jwks_uri; the key is that of RFC 8037, appendix A.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"keys": [{"kid": "2026-11", "kty": "OKP", "crv": "Ed25519",
			"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	}))
	defer server.Close()

	keys, err := keyset.New(keyset.Config{URL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := keys.Keys(context.Background(), "2026-11", "EdDSA")
	fmt.Println(len(found), err)
	// Output:
	// 1 <nil>
}
