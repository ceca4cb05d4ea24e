package limit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/limit"
)

// A step is one thing that happens in a drawn script.
type step struct {
	open       bool // else close one
	user, from int
	which      int // of the open sockets
	twice      bool
	wait       time.Duration
}

// TestL2SlotsProperty: whatever is opened, refused and closed, once or twice, the
// counts are those of a simple model, within the limits, and nothing at the end.
func TestL2SlotsProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := func(name string) int { return rapid.IntRange(0, 4).Draw(rt, name) }
		limits := limit.Limits{
			Sockets: 2 * n("sockets"), SocketsPerUser: n("per user"), SocketsPerAddress: n("per address"),
			HandshakesPerUser: per(float64(n("handshakes")), 3),
			MessagesPerUser:   per(float64(n("messages")), 1),
		}
		outer := limit.Limits{Sockets: 3 * n("outer sockets"), SocketsPerUser: n("outer per user")}
		room := rapid.SampledFrom([]int{0, 1, 3, 100}).Draw(rt, "room")
		script := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				open:  rapid.Bool().Draw(rt, "open"),
				user:  rapid.IntRange(-1, 4).Draw(rt, "user"),
				from:  rapid.IntRange(0, 4).Draw(rt, "from"),
				which: rapid.IntRange(0, 9).Draw(rt, "which"),
				twice: rapid.Bool().Draw(rt, "twice"),
				wait:  time.Duration(rapid.IntRange(0, 2000).Draw(rt, "wait")) * time.Millisecond,
			}
		}), 1, 60).Draw(rt, "script")
		var err error
		synctest.Test(t, func(*testing.T) { err = play(limits, outer, room, script) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func play(limits, outerLimits limit.Limits, room int, script []step) error {
	outer := limit.NewFor(outerLimits, nil, room)
	l := limit.NewFor(limits, outer, room)
	type opened struct {
		*limit.Socket
		user, from int
	}
	var live []opened
	for i, s := range script {
		time.Sleep(s.wait)
		users, addresses := map[int]int{}, map[int]int{}
		for _, o := range live {
			users[o.user]++
			addresses[o.from]++
		}
		if s.open {
			reached := func(n, limit int) bool { return limit != 0 && n >= limit }
			may := !reached(len(live), limits.Sockets) && !reached(len(live), outerLimits.Sockets) &&
				!reached(addresses[s.from], limits.SocketsPerAddress) &&
				(s.user < 0 || !reached(users[s.user], limits.SocketsPerUser) && !reached(users[s.user], outerLimits.SocketsPerUser))
			got, err := l.Socket(nth(s.user), address(s.from))
			var e *limit.Exceeded
			switch {
			case err == nil && !may:
				return fmt.Errorf("step %d: one more than may", i)
			case err == nil:
				live = append(live, opened{got, s.user, s.from})
				_ = got.Message()
			case !errors.As(err, &e) || may && e.What != "handshakes_per_user":
				return fmt.Errorf("step %d: refused (%w), with %v of users, %v of addresses", i, err, users, addresses)
			}
		} else if len(live) > 0 {
			j := s.which % len(live)
			live[j].Close()
			if s.twice {
				live[j].Close()
			}
			live = append(live[:j], live[j+1:]...)
		}
		if got := l.State().Open; l != nil && got != len(live) {
			return fmt.Errorf("step %d: %d counted as open, want %d", i, got, len(live))
		}
	}
	for _, s := range live {
		s.Close()
	}
	for _, l := range []*limit.Limiter{l, outer} {
		if s := l.State(); s.Open != 0 || s.Held != 0 {
			return fmt.Errorf("%+v at the end, want nothing", s)
		}
	}
	return nil
}

func nth(user int) *portcullis.Identity {
	if user < 0 {
		return nil
	}
	return &portcullis.Identity{Subject: fmt.Sprint(user)}
}

// TestL2BucketOracle: a bucket agrees with golang.org/x/time/rate, and says truly
// when to come back.
func TestL2BucketOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// Rates whose intervals are whole numbers: the two round differently.
		perSecond := rapid.SampledFrom([]float64{0.25, 0.5, 1, 2, 4, 5, 8, 10, 50, 100, 1000}).Draw(rt, "rate")
		burst := rapid.IntRange(1, 20).Draw(rt, "burst")
		b, oracle := limit.NewBucket(per(perSecond, burst)), rate.NewLimiter(rate.Limit(perSecond), burst)
		begin, now := time.Unix(0, 0), time.Duration(0)
		for range rapid.IntRange(1, 100).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(0, 1000).Draw(rt, "wait")) * time.Millisecond
			n := rapid.IntRange(1, burst).Draw(rt, "n")
			want := oracle.AllowN(begin.Add(now), n)
			err := b.Take(n, int64(now))
			if (err == nil) != want {
				rt.Fatalf("%d at %v: got %v, want %v", n, now, err, want)
			}
		}
	})
}

// What passes in any time is at most a burst and the rate, whatever is asked for.
func TestL2LongRun(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 2))
	for _, r := range []limit.Rate{per(3, 2), per(7.3, 1), per(64<<10, 1000), per(1e7, 1<<16)} {
		b := limit.NewBucket(r)
		passed, now := 0, int64(0)
		for range 100_000 {
			now += random.Int64N(int64(2 * float64(time.Second) / r.PerSecond))
			n := 1 + random.IntN(r.Burst)
			if b.Take(n, now) == nil {
				passed += n
			}
		}
		most := float64(r.Burst) + r.PerSecond*time.Duration(now).Seconds()
		if got := float64(passed); got > 1.001*most || got < most/4 {
			t.Errorf("%v: %d passed in %v, want about %.0f at most", r, passed, time.Duration(now), most)
		}
	}
}
