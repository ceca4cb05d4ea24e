package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/portcullis-auth/portcullis/admin"
)

// The API stands on a listener of its own, here with a key.
func Example() {
	guard := newGuard()
	server := httptest.NewServer(admin.New(admin.Config{Guard: guard, Key: "a-key-of-sixteen-bytes-or-more"}))
	defer server.Close()

	// Alice has been fired: her sessions end, and her tokens are refused.
	r, _ := http.NewRequest(http.MethodPost, server.URL+"/v1/revocations", strings.NewReader(`{"sub": "u-alice"}`))
	r.Header.Set("Authorization", "Bearer a-key-of-sixteen-bytes-or-more")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%d %s", resp.StatusCode, body)
	// Output: 200 {"durable":false,"revoked":true}
}
