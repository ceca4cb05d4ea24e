package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/bench/internal/stat"
)

// The codes of design.md, section 6.
const (
	cut     ws.StatusCode = 0 // no Close frame came
	expired ws.StatusCode = 3000
	revoked ws.StatusCode = 3003
)

// A result is figures, and whether their target is met.
type result struct {
	figures string
	target  string // "": none
	met     bool
	took    time.Duration // until the last Close; 0: the figures are others
}

// one revokes one socket at a time: p99 is at most 50 ms.
func one(ctx context.Context, s *scene) ([]result, error) {
	user := func(i int) string { return fmt.Sprint("user-", i) }
	if err := s.open(ctx, time.Now().Add(time.Hour), user); err != nil {
		return nil, err
	}
	pause(ctx, s.plan.before)
	var took []time.Duration
	for i := range s.plan.revokes {
		victim := i * (s.plan.sockets / s.plan.revokes)
		began := time.Now()
		if err := s.revoke(ctx, user(victim)); err != nil {
			return nil, err
		}
		e, err := s.await(ctx, revoked, 1, i+1)
		if err != nil {
			return nil, err
		}
		if s.all[victim].ended.IsZero() {
			return nil, fmt.Errorf("somebody else than %s has lost a socket", user(victim))
		}
		if e.cut > 0 {
			return nil, fmt.Errorf("%s is cut without a Close frame", user(victim))
		}
		took = append(took, e.last().Sub(began))
		pause(ctx, 20*time.Millisecond)
	}
	p99 := stat.Quantile(took, 99)
	_, _, err := s.echoes()
	return []result{{
		fmt.Sprintf("%d revocations, each until its last Close: p50 %s, p99 %s, longest %s", len(took), ms(stat.Quantile(took, 50)), ms(p99), ms(stat.Quantile(took, 100))),
		"p99 <= 50 ms", p99 <= 50*time.Millisecond, p99,
	}}, err
}

// subject revokes the one who has all sockets: the last Close comes within a
// second, and meanwhile the p99 of the others' echoes stays below twice of what
// it was.
func subject(ctx context.Context, s *scene) ([]result, error) {
	if err := s.open(ctx, time.Now().Add(time.Hour), func(int) string { return "somebody" }); err != nil {
		return nil, err
	}
	pause(ctx, time.Second+s.plan.before)
	stop := s.watch(ctx)
	began := time.Now()
	if err := s.revoke(ctx, "somebody"); err != nil {
		return nil, err
	}
	answered := time.Now()
	e, err := s.await(ctx, revoked, s.plan.sockets, s.plan.sockets)
	if err != nil {
		return nil, err
	}
	cpu, err := stop()
	if err != nil {
		return nil, err
	}
	echoes, err := s.compare(began, e.last(), "< 2 x")
	return append([]result{{
		fmt.Sprintf("%d sockets: answered after %s, last Close at a client %s, at the backend %s; %d cut without Close; CPU %s", s.plan.sockets,
			ms(answered.Sub(began)), ms(e.client.Sub(began)), ms(e.backend.Sub(began)), e.cut, cpu),
		"<= 1 s", e.cut == 0 && e.last().Sub(began) <= time.Second, e.last().Sub(began),
	}}, echoes...), err
}

// expiry lets the tokens of all sockets expire in one second: the last Close
// comes at most a second after that and the leeway.
func expiry(ctx context.Context, s *scene) ([]result, error) {
	// Twice as long as the others took to open.
	expected := 2 * s.opening / time.Duration(s.plan.others) * time.Duration(s.plan.sockets)
	exp := time.Now().Add(expected + s.plan.before + 2*time.Second).Truncate(time.Second)
	deadline := exp.Add(leeway)
	if err := s.open(ctx, exp, func(i int) string { return fmt.Sprint("user-", i) }); err != nil {
		return nil, err
	}
	if time.Until(deadline) < s.plan.before {
		return nil, fmt.Errorf("opening the sockets took longer than %s: the machine is too busy", expected)
	}
	pause(ctx, time.Until(deadline)-500*time.Millisecond)
	stop := s.watch(ctx)
	e, err := s.await(ctx, expired, s.plan.sockets, s.plan.sockets)
	if err != nil {
		return nil, err
	}
	if e.first.Before(deadline) {
		return nil, fmt.Errorf("a socket ended %s before its time", ms(deadline.Sub(e.first)))
	}
	cpu, err := stop()
	if err != nil {
		return nil, err
	}
	echoes, err := s.compare(deadline, e.last(), "")
	return append([]result{{
		fmt.Sprintf("%d sockets, after exp + leeway: first Close %s, last at a client %s, at the backend %s; %d cut without Close; CPU %s", s.plan.sockets,
			ms(e.first.Sub(deadline)), ms(e.client.Sub(deadline)), ms(e.backend.Sub(deadline)), e.cut, cpu),
		"<= 1 s", e.cut == 0 && e.last().Sub(deadline) <= time.Second, e.last().Sub(deadline),
	}}, echoes...), err
}

func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// compare sets the echoes that were on their way between two times against those
// just before, and ends the others. The target is for those through the gateway.
func (s *scene) compare(from, to time.Time, target string) ([]result, error) {
	through, direct, err := s.echoes()
	if err != nil {
		return nil, err
	}
	a, b := s.slower("through it", through, from, to), s.slower("directly", direct, from, to)
	a.target = target
	return []result{a, b}, nil
}

func (s *scene) slower(way string, all []echo, from, to time.Time) result {
	var before, during []time.Duration
	for _, e := range all {
		switch back := e.Sent.Add(e.Took); {
		case back.After(from) && e.Sent.Before(to):
			during = append(during, e.Took)
		case back.Before(from) && e.Sent.After(from.Add(-s.plan.before)):
			before = append(before, e.Took)
		}
	}
	was, is := stat.Quantile(before, 99), stat.Quantile(during, 99)
	return result{figures: fmt.Sprintf("echoes %s: %d before, p50 %s, p99 %s; %d meanwhile, p50 %s, p99 %s, longest %s: %.1f x", way,
		len(before), ms(stat.Quantile(before, 50)), ms(was), len(during), ms(stat.Quantile(during, 50)), ms(is), ms(stat.Quantile(during, 100)),
		float64(is)/float64(was)), met: is < 2*was}
}
