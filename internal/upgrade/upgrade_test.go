package upgrade_test

import (
	"net/http/httptest"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// W1: Upgrade and Connection are lists of tokens.
func TestW1Asked(t *testing.T) {
	for _, tt := range []struct {
		connection, protocol string
		asked, webSocket     bool
	}{
		{"Upgrade", "websocket", true, true},
		{"keep-alive, UPGRADE", "WebSocket", true, true},
		{"upgrade\t", "h2c,\twebsocket", true, true},
		{"Upgrade", "h2c", true, false},
		{"Upgraded", "websocket", false, true},
		{"keep-alive", "websocket", false, true},
		{"Upgrade", "websocket2", true, false},
		{"Upgrade", "webſocket", true, false},
		{"Upgrade", "websoc\u212Aet", true, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Connection", tt.connection)
		r.Header.Set("Upgrade", tt.protocol)
		if got := upgrade.Asked(r); got != tt.asked {
			t.Errorf("%+v: Asked %v", tt, got)
		}
		if got := upgrade.ToWebSocket(r); got != tt.webSocket {
			t.Errorf("%+v: ToWebSocket %v", tt, got)
		}
	}
}
