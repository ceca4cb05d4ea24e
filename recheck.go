package portcullis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	recheckTick    = time.Second      // how often what is due is looked for
	recheckRate    = 50               // calls a second, if RecheckRate is 0
	recheckWorkers = 8                // calls at once
	recheckPause   = time.Second      // after the first failure; then doubled
	recheckRest    = 64 * time.Second // at most
)

// atOnce is the time of what is to be asked about at the next opportunity, and
// of the token system itself.
var atOnce = time.Unix(1, 0)

// never is the time of what is not to be asked about, unless somebody says so.
var never = time.Unix(1<<40, 0)

// RecheckNow has Run ask the token system again about the tokens of all live
// sessions whose current Identity match reports true for, within a second or
// two, and returns how many sessions these are. It is for signals that say that
// something has changed, but not what. Only sessions whose tokens are kept
// (Guard.Recheck) can be asked about; match must not call the Guard.
func (g *Guard) RecheckNow(match func(*Identity) bool) int {
	return g.sessions.hasten(match)
}

// A rechecker asks about the tokens of live sessions again: one call a token,
// however many sessions live on it.
type rechecker struct {
	guard *Guard

	mu     sync.Mutex // guards pauses
	pauses map[string]pause
}

// A pause is for a token system that gives no answer, by Identity.VerifiedBy.
type pause struct {
	length time.Duration
	until  time.Time
}

// A group is the sessions that live on one token.
type group struct {
	token    string
	sessions []*Session
	next     time.Time // when to ask; zero: it isn't settled yet
	tried    time.Time // when asking failed last; zero: it didn't
	hurried  uint64    // what hasten had been called for when the group was made
}

// turn is what groups are asked in the order of: those that have failed go
// behind those that have not had their turn.
func (d *group) turn() time.Time {
	if d.tried.After(d.next) {
		return d.tried
	}
	return d.next
}

// run asks until ctx is done.
func (r *rechecker) run(ctx context.Context) {
	tick := time.NewTicker(recheckTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.round(ctx, time.Now())
		}
	}
}

// round asks about what is due, the longest overdue first, and about no more
// than may be asked until the next one.
func (r *rechecker) round(ctx context.Context, now time.Time) {
	due := r.due(now)
	due = due[:min(len(due), cmp.Or(r.guard.RecheckRate, recheckRate))]
	slots := make(chan struct{}, recheckWorkers)
	var calls sync.WaitGroup
	for _, d := range due {
		slots <- struct{}{}
		if ctx.Err() != nil || r.pausing(d.by(), now) { // since the round began
			<-slots
			continue
		}
		calls.Go(func() {
			defer func() { <-slots }()
			r.ask(ctx, d)
		})
	}
	calls.Wait()
}

// by returns the name of the Verifier that has vouched for the group.
func (d *group) by() string { return d.sessions[0].Identity().VerifiedBy }

// due returns what to ask about, in the order of its time. It settles when to
// ask about what is new.
func (r *rechecker) due(now time.Time) []*group {
	all := slices.DeleteFunc(r.guard.sessions.groups(now), func(d *group) bool {
		if d.next.IsZero() {
			r.guard.sessions.schedule(d, r.guard.Recheck(d.sessions[0].Identity()), now)
			return true
		}
		return now.Before(d.next) || r.pausing(d.by(), now)
	})
	slices.SortFunc(all, func(a, b *group) int { return a.turn().Compare(b.turn()) })
	return all
}

// ask asks about a token and does to its sessions what the answer says.
func (r *rechecker) ask(ctx context.Context, d *group) {
	g, by := r.guard, d.by()
	asking := ctx
	if d.next.Equal(atOnce) {
		asking = Afresh(ctx)
	}
	v, now, err := g.verify(asking, d.token)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, ErrUnavailable): // whatever else it says
		r.fail(by, now)
		g.sessions.failed(d, now)
		g.log(ctx, "cannot ask about live sessions again", slog.String("verifier", by), slog.String("why", err.Error()))
		return
	}
	r.answered(by)
	for _, s := range d.sessions {
		if err != nil {
			g.withdraw(s, d.token, err)
		} else {
			g.confirm(s, d.token, v, now)
		}
	}
	if err == nil {
		g.sessions.schedule(d, g.Recheck(v.id), now)
	}
}

// withdraw ends a session whose token isn't good any more, unless it has got
// another one meanwhile.
func (g *Guard) withdraw(s *Session, token string, err error) {
	cause := err
	if errors.Is(err, ErrInvalid) {
		cause = fmt.Errorf("%w: the token system has withdrawn the token: %w", ErrRevoked, err)
	}
	g.sessions.ending.RLock()
	defer g.sessions.ending.RUnlock()
	if g.sessions.removeIf(s, token) {
		s.ends(cause)
	}
}

// confirm puts a session under a new verdict about the token that it lives on:
// what the token system says of the user may have changed.
func (g *Guard) confirm(s *Session, token string, v verdict, now time.Time) {
	// The same token needs no proof of who it is for, as sameOwner wants one.
	if old := s.Identity(); old.Issuer != v.id.Issuer || old.Subject != v.id.Subject || old.Subject == "" && old.ClientID != v.id.ClientID {
		g.withdraw(s, token, fmt.Errorf("%w: the token is somebody else's now", ErrRevoked))
		return
	}
	p := s.Policy()
	switch err := p.allow(s.Request(), v.id); {
	case errors.Is(err, ErrUnavailable): // the next time, then
		return
	case err != nil:
		g.withdraw(s, token, err)
		return
	}
	if g.sessions.renewIf(s, token, v, now) == ErrRevoked { //nolint:errorlint // it is that one, or nothing to act on
		g.withdraw(s, token, ErrRevoked)
	}
	_ = s.stillAllowed(p) // if not, it has ended
}

// pausing reports whether a token system is left alone.
func (r *rechecker) pausing(by string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.pauses[by].until)
}

// fail leaves a token system alone for a while, twice as long as the last time.
func (r *rechecker) fail(by string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pauses[by]
	if now.Before(p.until) { // another call has failed with this one
		return
	}
	p.length = min(max(2*p.length, recheckPause), recheckRest)
	p.until = now.Add(jittered(p.length))
	if r.pauses == nil {
		r.pauses = make(map[string]pause)
	}
	r.pauses[by] = p
}

func (r *rechecker) answered(by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pauses, by)
}

// jittered returns d, give or take a tenth, so that what began together
// doesn't stay together.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // nobody gains by guessing it
}

// groups returns the sessions that it is time to ask about again, and those of
// which it isn't settled when. A session that has joined others on their token
// goes with them. Of all others, nothing is built: they are many.
func (g *registry) groups(now time.Time) (list []*group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var byToken map[string]*group
	for _, s := range g.live {
		if s.token == "" || s.more != nil && !s.more.next.IsZero() && now.Before(s.more.next) || byToken[s.token] != nil {
			continue
		}
		if byToken == nil {
			byToken = make(map[string]*group)
		}
		d := &group{token: s.token, hurried: g.hurried}
		byToken[s.token] = d
		list = append(list, d)
	}
	if list == nil {
		return nil
	}
	for _, s := range g.live {
		d := byToken[s.token]
		if d == nil {
			continue
		}
		d.sessions = append(d.sessions, s)
		if s.more == nil {
			s.more = &more{verified: s.opened}
		}
		if next := s.more.next; !next.IsZero() && (d.next.IsZero() || next.Before(d.next)) {
			d.next = next
		}
		if s.more.tried.After(d.tried) {
			d.tried = s.more.tried
		}
	}
	for _, d := range list {
		for _, s := range d.sessions {
			if s.more.next.IsZero() {
				s.more.next = d.next
			}
		}
	}
	return list
}

// hasten settles that it is time to ask about sessions.
func (g *registry) hasten(match func(*Identity) bool) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hurried++
	for _, s := range g.live {
		if s.token == "" || !match(s.Identity()) {
			continue
		}
		if s.more == nil {
			s.more = &more{verified: s.opened}
		}
		s.more.next, s.more.hurried = atOnce, g.hurried
		n++
	}
	return n
}

// schedule settles when to ask about the sessions of one token: every so often
// after the token system was last asked, but not right away where somebody
// remembers its answer for longer than that.
func (g *registry) schedule(d *group, every time.Duration, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := never
	if every > 0 {
		every = jittered(every)
		next = now.Add(every / 4)
	}
	for _, s := range d.sessions {
		if at := s.more.verified.Add(every); every > 0 && at.After(next) {
			next = at
		}
	}
	for _, s := range d.sessions {
		if s.more.hurried <= d.hurried { // else somebody wants another answer than this one
			s.more.next, s.more.tried = next, time.Time{}
		}
	}
}

// removeIf takes a session out that lives on the token, and reports whether it
// did.
func (g *registry) removeIf(s *Session, token string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.token != token || s.index < 0 {
		return false
	}
	g.drop(s)
	return true
}

// failed notes that asking about the group has failed.
func (g *registry) failed(d *group, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range d.sessions {
		s.more.tried = now
	}
}
