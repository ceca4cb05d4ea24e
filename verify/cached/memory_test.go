package cached_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// heap returns how much memory is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Several times as many verdicts as there is room for take no more than the room
// that there is, by the cache's reckoning and by the runtime's.
func TestMemoryIsBounded(t *testing.T) {
	const room = 2 << 20
	for _, tt := range []struct {
		name   string
		config cached.Config
		answer reply
		n      int
	}{
		{"small", cached.Config{}, yes, 12_000},
		{"large", cached.Config{}, func(context.Context, string) (*portcullis.Identity, error) {
			return &portcullis.Identity{Claims: make([]byte, 32<<10)}, nil
		}, 600},
		{"scopes", cached.Config{}, func(context.Context, string) (*portcullis.Identity, error) {
			return &portcullis.Identity{Scopes: strings.Fields(strings.Repeat("scope ", 100))}, nil
		}, 3_000},
		{"long scopes", cached.Config{}, func(context.Context, string) (*portcullis.Identity, error) {
			return &portcullis.Identity{Scopes: []string{strings.Repeat("x", 32<<10)}}, nil
		}, 600},
		{"no", cached.Config{NegativeAge: time.Hour}, no, 4_000},
		{"no, with long reasons", cached.Config{NegativeAge: time.Hour}, func(context.Context, string) (*portcullis.Identity, error) {
			return nil, fmt.Errorf("%w: %s", portcullis.ErrInvalid, strings.Repeat("x", 16<<10))
		}, 600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := heap()
			tt.config.MaxBytes = room
			v := open(t, portcullis.VerifierFunc(tt.answer), tt.config)
			for i := range tt.n {
				_, _ = v.Verify(t.Context(), fmt.Sprint("token", i))
			}
			good, bad := v.Memory()
			used := heap() - before
			t.Logf("%+v %+v, heap %d", good, bad, used)
			if sum := good.Bytes + bad.Bytes; sum > room || sum < room/32 {
				t.Errorf("reckons %d bytes, want at most %d and not next to nothing", sum, room)
			}
			if share := room / 16; bad.Bytes > int64(share) {
				t.Errorf("reckons %d bytes for no, want at most %d", bad.Bytes, share)
			}
			if used > room+room/4 {
				t.Errorf("takes %d bytes, want at most %d", used, room)
			}
			runtime.KeepAlive(v)
		})
	}
}

// I3: a flood of forged tokens pushes no good one out, and takes no more than
// its own share of the memory.
func TestI3ForgedTokens(t *testing.T) {
	const known, forged, room = 1000, 20_000, 1 << 20
	sys := &system{}
	v := open(t, sys, cached.Config{MaxAge: time.Hour, NegativeAge: time.Hour, MaxBytes: room})
	for i := range known {
		check(t, v, fmt.Sprint("good", i), nil)
	}
	sys.set(no)
	for i := range forged {
		if _, err := v.Verify(t.Context(), fmt.Sprint("forged", i)); !errors.Is(err, portcullis.ErrInvalid) {
			t.Fatal(err)
		}
	}
	for i := range known {
		check(t, v, fmt.Sprint("good", i), nil)
	}
	checkCalls(t, sys, known+forged)
	good, bad := v.Memory()
	if good.Entries != known || bad.Bytes > room/16 || bad.Entries == 0 {
		t.Errorf("good %+v, bad %+v; want all %d good ones, and at most %d bytes of bad", good, bad, known, room/16)
	}
}

// What has expired is let go without anybody asking for it.
func TestMemoryIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := open(t, sys, cached.Config{StaleFor: time.Minute})
		sys.set(no)
		check(t, v, "bad", portcullis.ErrInvalid)
		sys.set(yes)
		check(t, v, "good", nil)
		sys.set(func(context.Context, string) (*portcullis.Identity, error) {
			return &portcullis.Identity{ExpiresAt: time.Now()}, nil
		})
		check(t, v, "expired", nil)
		good, bad := v.Memory()
		if good.Entries != 1 || bad.Entries != 1 {
			t.Errorf("good %+v, bad %+v; want one each", good, bad)
		}
		time.Sleep(2*time.Minute - time.Second)
		if good, bad = v.Memory(); good.Entries != 1 || bad.Entries != 0 {
			t.Errorf("good %+v, bad %+v; want a stale one", good, bad)
		}
		time.Sleep(3 * time.Second)
		if good, _ = v.Memory(); good.Entries != 0 {
			t.Errorf("good %+v, want none", good)
		}
	})
}

// The key depends on the whole token and on the process.
func TestKey(t *testing.T) {
	v, w := open(t, &system{}, cached.Config{}), open(t, &system{}, cached.Config{})
	seen := map[[32]byte]string{}
	for _, n := range []int{0, 1, 31, 32, 33, 800, 2014, 2015, 2016, 2017, 2048, 4096, 16 << 10} {
		for _, last := range []string{"a", "b"} {
			token := strings.Repeat("x", max(n-1, 0)) + last
			k := v.Key(token)
			if k != v.Key(strings.Clone(token)) {
				t.Errorf("%d: not the same for the same token", n)
			}
			if k == w.Key(token) {
				t.Errorf("%d: the same under another secret", n)
			}
			if k == sha256.Sum256([]byte(token)) {
				t.Errorf("%d: not under a secret", n)
			}
			if other, ok := seen[k]; ok && other != token {
				t.Errorf("%d: the same for another token", n)
			}
			seen[k] = token
		}
	}
}

// A hit allocates nothing, unless the token is very long.
func TestHitAllocates(t *testing.T) {
	v := open(t, &system{}, cached.Config{MaxAge: time.Hour})
	for n, most := range map[int]float64{800: 0, 2000: 0, 16 << 10: 1} {
		token := strings.Repeat("x", n)
		check(t, v, token, nil)
		ctx := t.Context()
		if got := testing.AllocsPerRun(1000, func() { _, _ = v.Verify(ctx, token) }); got > most+0.5 { // its housekeeping allocates now and then
			t.Errorf("%d bytes: %v allocations, want %v", n, got, most)
		}
	}
}

// R6: a clock that is set, forward or back, makes nothing live longer.
func TestR6Clocks(t *testing.T) {
	now := time.Now()
	wall := func(d time.Duration) time.Time { return now.Round(0).Add(d) }
	for _, tt := range []struct {
		name   string
		now, t time.Time
		want   bool
	}{
		{"before", now, now.Add(1), false},
		{"at", now, now, true},
		{"after", now, now.Add(-1), true},
		{"before, wall", wall(0), wall(1), false},
		{"at, wall", wall(0), wall(0), true},
		{"the clock was put forward", setClock(now, time.Hour), now.Add(time.Minute), true},
		{"the clock was put back", setClock(now.Add(time.Minute), -time.Hour), now.Add(time.Minute), true},
		{"the clock was put back, in time", setClock(now, -time.Hour), now.Add(time.Minute), false},
	} {
		if got := cached.Reached(tt.now, tt.t); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// setClock returns t as it is when the wall clock has been set by d: its reading
// of the other clock stays.
func setClock(t time.Time, d time.Duration) time.Time {
	// The layout of a time.Time that has both readings.
	raw := (*struct {
		wall uint64 // 1 bit, 33 bits of seconds, 30 bits of nanoseconds
		ext  int64  // since the process began
		loc  *time.Location
	})(unsafe.Pointer(&t))
	raw.wall += uint64(int64(d/time.Second)) << 30
	return t
}

// No token is in the memory of a process that knows it, and no error holds one.
func TestTokenIsNotKept(t *testing.T) {
	// The token must not be in the test's own memory: it is made anew, and in
	// between only its letters are there, each two higher.
	raised := []byte(rand.Text() + rand.Text())
	for i := range raised {
		raised[i] += 2
	}
	token := func() string {
		b := bytes.Clone(raised)
		for i := range b {
			b[i] -= 2
		}
		return string(b)
	}
	sys := &system{}
	v := open(t, portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return sys.answer(t.Context(), "claim-of-the-user")
	}), cached.Config{StaleFor: time.Hour})
	for _, prefix := range []string{"", "no", "down", strings.Repeat("long", 1000)} {
		sys.set(map[string]reply{"no": no, "down": down}[prefix])
		if sys.answer == nil {
			sys.set(yes)
		}
		done := make(chan struct{})
		go func() { // on a stack that will be gone
			defer close(done)
			for range 3 {
				_, err := v.Verify(t.Context(), prefix+token())
				if err != nil && strings.Contains(err.Error(), token()) {
					t.Errorf("err = %v", err)
				}
			}
			_, err := v.Verify(t.Context(), strings.Repeat(token(), 1000))
			if err == nil || strings.Contains(err.Error(), token()) {
				t.Errorf("err = %v", err)
			}
		}()
		<-done
	}
	runtime.GC()
	runtime.GC()
	file, err := os.Create(t.TempDir() + "/heap")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	debug.WriteHeapDump(file.Fd())
	dump, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(dump, raised) {
		t.Error("the dump doesn't show what is in memory")
	}
	if bytes.Contains(dump, []byte(token())) {
		t.Error("the token is in memory")
	}
	runtime.KeepAlive(v)
}
