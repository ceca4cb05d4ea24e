package discovery_test

import (
	"fmt"
	"net/http"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/discovery"
)

func Example() {
	// Stands for the issuer.
	client := &http.Client{Transport: &site{pages: map[string]string{
		"https://id.example.com/.well-known/openid-configuration": `{"issuer":"https://id.example.com","jwks_uri":"https://id.example.com/keys"}`,
	}}}

	issuer, err := discovery.New("https://id.example.com", false, askhttp.New(client, 0))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(issuer.Endpoint("jwks_uri"))
	// Output:
	// https://id.example.com/keys <nil>
}
