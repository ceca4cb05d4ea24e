package ssf_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// R4: the memory of SETs is bounded, and forgets the oldest first.
func TestR4MemoryIsBounded(t *testing.T) {
	var m ssf.Memory
	for i := range 2*ssf.MaxUsed + 10 {
		m.Add(strconv.Itoa(i))
		m.Add(strconv.Itoa(i)) // twice: two pushes may race
	}
	if ids, order := m.Len(); ids != ssf.MaxUsed || order != ids {
		t.Errorf("%d ids, %d in order; want %d", ids, order, ssf.MaxUsed)
	}
	for n, want := range map[int]bool{0: false, ssf.MaxUsed + 9: false, ssf.MaxUsed + 10: true, 2*ssf.MaxUsed + 9: true} {
		if got := m.Has(strconv.Itoa(n)); got != want {
			t.Errorf("has %d: %v", n, got)
		}
	}
}

// R4: what is held is bounded, and goes when it is over, not before.
func TestR4HeldIsBounded(t *testing.T) {
	var h ssf.Held
	now := time.Unix(1_800_000_000, 0)
	ann := &portcullis.Identity{IssuedAt: now, Claims: []byte(`{"email":"Ann@example.com"}`)}
	late := *ann
	late.IssuedAt = now.Add(time.Second)
	if h.Finds(ann, now) {
		t.Error("found in nothing")
	}
	for i := range ssf.MaxHeld {
		email := "ann@example.com"
		if i%2 == 1 {
			email = strconv.Itoa(i)
		}
		if !h.Add(email, now, now.Add(time.Duration(i)), time.Hour) {
			t.Fatalf("no room for %d", i)
		}
	}
	if h.Add("bob@example.com", now, now.Add(time.Hour-1), time.Hour) {
		t.Error("more than the bound")
	}
	if !h.Finds(ann, now) || h.Finds(&late, now) || h.Finds(&portcullis.Identity{Claims: []byte(`{"email":["ann@example.com"]}`)}, now) {
		t.Error("found the wrong ones")
	}
	end := now.Add(time.Hour + ssf.MaxHeld - 3) // of the last but one, which is ann's last
	if !h.Finds(ann, end.Add(-1)) {
		t.Error("forgotten too early")
	}
	if h.Finds(ann, end.Add(2)) {
		t.Error("found what is over")
	}
	if !h.Add("x", now, end.Add(2), time.Hour) || h.Finds(ann, end.Add(2)) {
		t.Error("not forgotten")
	}
	if keys, order := h.Len(); keys != 1 || order != 1 {
		t.Errorf("%d keys, %d in order, after all others were over", keys, order)
	}
}
