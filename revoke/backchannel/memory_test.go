package backchannel_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

// R3: the memory of used tokens is bounded, forgets the oldest use first, and
// what is over.
func TestR3ReplayMemoryIsBounded(t *testing.T) {
	var m backchannel.Memory
	now := time.Unix(1_800_000_000, 0)
	until := now.Add(time.Minute)
	for i := range backchannel.MaxUsed + 10 {
		m.Add(strconv.Itoa(i), now, until)
		m.Add(strconv.Itoa(i), now, until) // twice: two requests may race
	}
	if ids, order := m.Len(); ids != backchannel.MaxUsed || order != ids {
		t.Errorf("%d ids, %d in order; want %d", ids, order, backchannel.MaxUsed)
	}
	for id, want := range map[string]bool{"0": false, "9": false, "10": true, strconv.Itoa(backchannel.MaxUsed + 9): true, "x": false} {
		if got := m.Has(id, now); got != want {
			t.Errorf("has %s: %v, want %v", id, got, want)
		}
	}
	if !m.Has("10", until) || m.Has("10", until.Add(1)) {
		t.Error("not remembered up to and including the end")
	}
	m.Add("new", until.Add(1), until.Add(time.Hour))
	if ids, order := m.Len(); ids != 1 || order != 1 {
		t.Errorf("%d ids, %d in order, after all others were over", ids, order)
	}
}
