package gate_test

import (
	"testing"

	"github.com/portcullis-auth/portcullis/bench/internal/gate"
)

const (
	collected = "gc 7 @1.204s 0%: 0.02+0.61+0.004 ms clock, 0.05+0.31/0.54/0.22+0.009 ms cpu, 33->34->18 MB, 36 MB goal, 0 MB stacks, 0 MB globals, 2 P\n"
	another   = "gc 8 @2.004s 0%: 0.02+0.61+0.004 ms clock, 0.05+0.31/0.54/0.22+0.009 ms cpu, 40->41->19 MB, 36 MB goal\n"
	record    = `{"level":"INFO","msg":"serving","listen":"127.0.0.1:1","admin":"127.0.0.1:2"}` + "\n"
)

func TestServing(t *testing.T) {
	for _, test := range []struct{ name, log, public string }{
		{"nothing", "", ""},
		{"a record", record, "127.0.0.1:1"},
		{"half a record", record[:40], ""},
		{"behind others", `{"msg":"serving not"}` + "\n" + collected + record, "127.0.0.1:1"},
		{"behind half a line", collected[:50] + record, "127.0.0.1:1"},
	} {
		if public, _, err := gate.Serving(test.log); public != test.public || (err == nil) != (public != "") {
			t.Errorf("%s: %q, %v; want %q", test.name, public, err, test.public)
		}
	}
}

func TestLive(t *testing.T) {
	for _, test := range []struct {
		name, log string
		mb, whole int
	}{
		{"nothing", "", -1, 0},
		{"no collection", record, -1, len(record)},
		{"the last one", collected + another + record, 19, len(collected + another + record)},
		{"half a line", collected + another[:len(another)-1], 18, len(collected)},
		{"torn by a record", "40->41->" + record + "19 MB, 36 MB goal\n", -1, 8 + len(record) + 18},
	} {
		if mb, whole := gate.Live([]byte(test.log)); mb != test.mb || whole != test.whole {
			t.Errorf("%s: %d MB in %d bytes, want %d in %d", test.name, mb, whole, test.mb, test.whole)
		}
	}
}
