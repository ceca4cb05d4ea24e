//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/load"
	"github.com/portcullis-auth/portcullis/bench/internal/server"
	"github.com/portcullis-auth/portcullis/bench/report"
)

// figures are by the IDs of measures.
type figures map[string]float64

// A group of measures is taken on one stage. Its name is that of -only.
type group struct {
	name     string
	take     func(context.Context, *stage) (figures, error)
	measures []report.Measure
}

func cpu(id, name, about string) report.Measure {
	return report.Measure{ID: id, Name: name, About: about, Unit: "µs CPU", LowerIsBetter: true}
}

func rate(id, name, unit string) report.Measure {
	return report.Measure{ID: id, Name: name, Unit: unit, About: "As before, in wall-clock time: what the machine did as a whole, load and backend included."}
}

// groups are in the order of the tables.
var groups = []group{
	{"http", requests, []report.Measure{
		cpu(report.HTTP, "authorized HTTP", "GET with a token that is known, answered with 100 bytes of JSON, over 32 connections that are kept."),
		rate("http-rate", "authorized HTTP, rate", "requests/s"),
	}},
	{"handshake", handshakes, []report.Measure{
		cpu(report.Handshake, "handshake, known token", "A new connection, the handshake with one of 100 known tokens, and the end right after the 101; 64 at a time."),
		rate("handshake-known-rate", "handshake, known token, rate", "handshakes/s"),
		cpu("handshake-new-cpu", "handshake, new token", "The same with a token that has never been seen: the token system is asked."),
		rate("handshake-new-rate", "handshake, new token, rate", "handshakes/s"),
	}},
	{"idle", idle, []report.Measure{
		{ID: report.Idle, Name: "idle socket", Unit: "KB", LowerIsBetter: true, About: "Resident memory (PSS) of all processes of the target at 9,500 open sockets with 100 tokens, less that before them, by socket. The kernel's memory for sockets is not in it."},
		{ID: "idle-after", Name: "idle socket, after 16 KiB", Unit: "KB", LowerIsBetter: true, About: "The same sockets after each has echoed one message of 16 KiB."},
		{ID: "descriptors", Name: "descriptors", Unit: "per socket", LowerIsBetter: true, About: "Descriptors of the target by open socket."},
		{ID: "threads", Name: "threads", Unit: "threads", LowerIsBetter: true, About: "Threads of the target at 9,500 open sockets."},
	}},
	{"tokens", manyTokens, []report.Measure{
		{ID: "idle-tokens", Name: "idle socket, tokens of their own", Unit: "KB", LowerIsBetter: true, About: "As idle sockets, but each of the 9,500 sockets has a token of its own, about which the token system tells 400 bytes of claims."},
	}},
	{"echo", echoes, []report.Measure{
		cpu(report.Echo, "64 B echo", "A message of 64 bytes to the backend and back, 64 sockets, one message on its way in each, as fast as it goes."),
		rate("echo-rate", "64 B echo, rate", "round trips/s"),
		cpu("pipelined-cpu", "64 B echo, pipelined", "The same with 16 messages on their way in each socket."),
		rate("pipelined-rate", "64 B echo, pipelined, rate", "round trips/s"),
		cpu("push-cpu", "64 B push", "The backend sends a message of 64 bytes to each of 500 sockets, and again as soon as all have it. By message."),
		rate("push-rate", "64 B push, rate", "messages/s"),
		cpu("large-cpu", "64 KiB messages", "Messages of 64 KiB from 8 clients to the backend, as fast as they go. By message."),
		rate(report.Large, "64 KiB messages, rate", "MB/s"),
	}},
	{"paced", paced, pacedMeasures()},
	{"revoke", nil, []report.Measure{
		{ID: "revoke", Name: "revocation of 9,000 sockets", Unit: "ms", LowerIsBetter: true, About: "One user's 9,000 sockets are revoked while 500 others carry 500 echoes a second: the time until the last Close frame is at its client and at the backend."},
	}},
}

var rates = []int{200, 2000, 5000}

func pacedMeasures() (all []report.Measure) {
	for _, r := range rates {
		id, name := fmt.Sprint("paced-", r), fmt.Sprintf("64 B echo at %d/s", r)
		all = append(all, cpu(id+"-cpu", name, fmt.Sprintf("Messages of 64 bytes to the backend and back, %d a second over 64 sockets. By round trip.", r)))
		for _, p := range []string{"p50", "p99"} {
			all = append(all, report.Measure{
				ID: fmt.Sprint(id, "-", p), Name: fmt.Sprint(name, ", ", p), Unit: "µs", LowerIsBetter: true,
				About: "How long these round trips take, from when the message was due.",
			})
		}
	}
	return all
}

// knownTokens are those that are used again and again.
var knownTokens = load.Tokens{From: "k", Known: known}

func requests(_ context.Context, s *stage) (figures, error) {
	o := load.Order{Do: "http", Path: "/", N: 32, Tokens: knownTokens, For: s.plan.span / 4}
	if err := s.orders(o); err != nil {
		return nil, err
	}
	o.For = s.plan.span
	w, err := s.asking(knownTokens, func() (work, error) { return s.measure(o, nil) })
	return figures{report.HTTP: w.cpuPerOp(), "http-rate": w.rate()}, err
}

// asking wants the token system to be asked, while work is done, as much as such
// a target must ask, and no more: or else something else is measured.
func (s *stage) asking(t load.Tokens, do func() (work, error)) (w work, err error) {
	before, err := count(s.tokens)
	if err != nil {
		return w, err
	}
	if w, err = do(); err != nil {
		return w, err
	}
	after, err := count(s.tokens)
	if err != nil {
		return w, err
	}
	asked := after.Tokens - before.Tokens
	least, most := s.target.asks(t, w.Ops)
	if after.Good-before.Good != asked {
		return w, fmt.Errorf("%d times the token system was asked about a token that isn't one", asked-after.Good+before.Good)
	}
	if asked < least || asked > most {
		return w, fmt.Errorf("the token system was asked %d times about %d operations, not %d to %d times", asked, w.Ops, least, most)
	}
	return w, nil
}

// asks returns how often the token system must be asked at least about so many
// operations, and at most: some ask again about sockets that live.
func (t *target) asks(tokens load.Tokens, ops int) (least, most int) {
	switch {
	case t.Limit:
		return 0, 0
	case t.remembers && tokens.Known > 0:
		return 0, 3 * tokens.Known
	case t.remembers:
		return ops, ops + 3*known
	}
	return ops, ops
}

func handshakes(_ context.Context, s *stage) (figures, error) {
	f := figures{}
	for _, kind := range []struct {
		id     string
		tokens load.Tokens
	}{{"handshake-known", knownTokens}, {"handshake-new", load.Tokens{From: "n"}}} {
		o := load.Order{Do: "handshakes", Path: "/", Tokens: kind.tokens, For: s.plan.span / 4}
		o.Tokens.From += "w" // those of the warming up
		if kind.tokens.Known > 0 {
			o.Tokens = kind.tokens
		}
		if err := s.orders(o); err != nil {
			return nil, err
		}
		if err := s.drained(); err != nil {
			return nil, err
		}
		o.Tokens, o.For = kind.tokens, s.plan.span
		w, err := s.asking(o.Tokens, func() (work, error) { return s.measure(o, s.drained) })
		if err != nil {
			return nil, err
		}
		f[kind.id+"-cpu"], f[kind.id+"-rate"] = w.cpuPerOp(), w.rate()
	}
	return f, nil
}

func idle(ctx context.Context, s *stage) (figures, error) {
	before, err := s.before(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.orders(load.Order{Do: "open", Path: "/", Tokens: knownTokens, N: s.plan.sockets}); err != nil {
		return nil, err
	}
	open, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.orders(load.Order{Do: "once", N: 64, Size: 16 << 10}); err != nil {
		return nil, err
	}
	after, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	bySocket := func(n int) float64 { return float64(n) / float64(s.plan.sockets) }
	return figures{
		report.Idle:   bySocket(open.memory-before.memory) / 1024,
		"idle-after":  bySocket(after.memory-before.memory) / 1024,
		"descriptors": bySocket(open.files - before.files),
		"threads":     float64(open.threads),
	}, s.end()
}

func manyTokens(ctx context.Context, s *stage) (figures, error) {
	before, err := s.before(ctx)
	if err != nil {
		return nil, err
	}
	tokens := load.Tokens{From: "m", Known: s.plan.sockets, Size: 400}
	if err := s.orders(load.Order{Do: "open", Path: "/", Tokens: tokens, N: s.plan.sockets}); err != nil {
		return nil, err
	}
	open, err := s.usage(ctx)
	if err != nil {
		return nil, err
	}
	return figures{"idle-tokens": float64(open.memory-before.memory) / float64(s.plan.sockets) / 1024}, s.end()
}

// before returns what the target uses without sockets, after some that were: code
// that nobody has run yet isn't resident.
func (s *stage) before(ctx context.Context) (u usage, err error) {
	if err := s.orders(
		load.Order{Do: "open", Path: "/", Tokens: knownTokens, N: known},
		load.Order{Do: "once", N: 64, Size: 64}); err != nil {
		return u, err
	}
	if err := s.end(); err != nil {
		return u, err
	}
	return s.usage(ctx)
}

// A usage is what the target's processes have.
type usage struct{ memory, files, threads int }

func (s *stage) usage(ctx context.Context) (u usage, err error) {
	pause, cancel := context.WithTimeout(ctx, s.plan.settle)
	defer cancel()
	if <-pause.Done(); ctx.Err() != nil {
		return u, ctx.Err()
	}
	if u.memory, err = s.group.Memory(); err != nil {
		return u, err
	}
	if u.files, err = s.group.Files(); err != nil {
		return u, err
	}
	u.threads, err = s.group.Threads()
	return u, err
}

// end closes the sockets, and waits until they are.
func (s *stage) end() error {
	if err := s.orders(load.Order{Do: "close"}); err != nil {
		return err
	}
	return s.drained()
}

func echoes(_ context.Context, s *stage) (figures, error) {
	f := figures{}
	for _, m := range []struct {
		id, path string
		sockets  int
		order    load.Order
	}{
		{"echo", "/", 64, load.Order{Do: "echo", Size: server.Small, Depth: 1}},
		{"pipelined", "/", 64, load.Order{Do: "echo", Size: server.Small, Depth: 16}},
		{"push", "/push", s.plan.pushed, load.Order{Do: "push"}},
		{"large", "/sink", 8, load.Order{Do: "send"}},
	} {
		m.order.For = s.plan.span / 4
		if err := s.orders(load.Order{Do: "open", Path: m.path, Tokens: knownTokens, N: m.sockets}, m.order); err != nil {
			return nil, fmt.Errorf("%s: %w", m.id, err)
		}
		m.order.For = s.plan.span
		w, err := s.measure(m.order, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.id, err)
		}
		f[m.id+"-cpu"], f[m.id+"-rate"] = w.cpuPerOp(), w.rate()
		if err := s.end(); err != nil {
			return nil, fmt.Errorf("%s: %w", m.id, err)
		}
	}
	f[report.Large] *= server.Large / 1e6
	return f, nil
}

func paced(_ context.Context, s *stage) (figures, error) {
	if err := s.orders(load.Order{Do: "open", Path: "/", Tokens: knownTokens, N: 64}); err != nil {
		return nil, err
	}
	f := figures{}
	for _, r := range rates {
		o := load.Order{Do: "paced", Size: server.Small, Rate: r, For: s.plan.pace / 8}
		if err := s.orders(o); err != nil {
			return nil, err
		}
		o.For = s.plan.pace
		w, err := s.measure(o, nil)
		if err != nil {
			return nil, err
		}
		id := fmt.Sprint("paced-", r)
		f[id+"-cpu"] = w.cpuPerOp()
		f[id+"-p50"] = float64(w.P50) / float64(time.Microsecond)
		f[id+"-p99"] = float64(w.P99) / float64(time.Microsecond)
	}
	return f, s.end()
}
