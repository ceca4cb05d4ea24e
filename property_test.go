package portcullis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/portcullis-auth/portcullis"
)

// A step is one thing that happens in the life of a Guard. Which fields count
// depends on what.
type step struct {
	what  string
	n     int // which socket, modulo how many there are
	user  string
	sid   string
	ttl   time.Duration
	wait  time.Duration
	field string // of the revocation
	late  bool   // the revocation concerns what was issued until wait ago
}

func drawSteps(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			what:  rapid.SampledFrom([]string{"open", "open", "open", "renew", "revoke", "wait", "wait", "leave", "withdraw"}).Draw(t, "what"),
			n:     rapid.IntRange(0, 20).Draw(t, "n"),
			user:  rapid.SampledFrom([]string{"a", "b"}).Draw(t, "user"),
			sid:   rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "sid"),
			ttl:   time.Duration(rapid.IntRange(1, 8).Draw(t, "ttl")) * 500 * time.Millisecond,
			wait:  time.Duration(rapid.IntRange(1, 8).Draw(t, "wait")) * 500 * time.Millisecond,
			field: rapid.SampledFrom([]string{"user", "sid", "both"}).Draw(t, "field"),
			late:  rapid.Bool().Draw(t, "late"),
		}
	}), 1, 40).Draw(t, "steps")
}

// A modelled is a socket as it should be.
type modelled struct {
	c       *client
	user    string
	sid     string
	issued  time.Time
	until   time.Time
	over    bool
	closing string // codes and reasons of which the client must have got one; "": none
	handle  string

	echoes chan string // what came back
	closed chan string // how it ended
}

func (m *modelled) matches(s step, at time.Time) bool {
	old := m.issued.Unix() <= at.Unix()
	user, sid := m.user == s.user, m.sid == s.sid
	switch s.field {
	case "user":
		return user && old
	case "sid":
		return sid && (old || !s.late)
	default:
		return user && sid && (old || !s.late)
	}
}

// Whatever happens in whatever order: every socket works as long as its right
// lasts, is closed in that moment and with that reason, and leaves nothing.
func TestSocketsLiveAsLongAsTheirRight(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawSteps(rt)
		var err error
		synctest.Test(t, func(t *testing.T) { err = play(t, steps) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func play(t *testing.T, steps []step) error {
	// What the token system has withdrawn without telling: the time, by user and
	// sid. The rest of a withdrawn token's life is a re-check and a tick.
	const recheck, notice = time.Second, 3 * time.Second
	var withdrawn sync.Map
	g := &portcullis.Guard{
		Verifier: user(func(token string) *portcullis.Identity {
			f := strings.Split(token, "~") // user, sid, iat, exp
			issued, _ := time.Parse(time.RFC3339Nano, f[2])
			expires, _ := time.Parse(time.RFC3339Nano, f[3])
			if at, ok := withdrawn.Load(f[0] + f[1]); ok && !issued.After(at.(time.Time)) {
				return nil
			}
			return &portcullis.Identity{Subject: f[0], SessionID: f[1], IssuedAt: issued, ExpiresAt: expires}
		}),
		Recheck: func(*portcullis.Identity) time.Duration { return recheck },
	}
	asking, stopAsking := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- g.Run(asking) }()
	defer func() {
		stopAsking()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	g.Sources = []portcullis.TokenSource{portcullis.Query("token")}
	h, running := peers[2].handler(t, behaviours[0], how{})
	dial, stop := serve(t, g.Handler(h))
	defer stop()
	token := func(s step, until time.Time) string {
		return strings.Join([]string{s.user, s.sid, time.Now().Format(time.RFC3339Nano), until.Format(time.RFC3339Nano)}, "~")
	}
	type revocation struct {
		step
		at time.Time
	}
	var all []*modelled
	var revoked []revocation
	for i, s := range steps {
		switch s.what {
		case "open":
			m := &modelled{user: s.user, sid: s.sid, issued: time.Now(), until: time.Now().Add(s.ttl), echoes: make(chan string, 1), closed: make(chan string, 1)}
			want := 101
			for _, r := range revoked {
				if m.matches(r.step, r.at) {
					want = 401
				}
			}
			m.c = dial(handshake("/?token=" + token(s, m.until)))
			if got := m.c.answer().StatusCode; got != want {
				_ = m.c.Close()
				return fmt.Errorf("step %d %+v: status %d, want %d", i, s, got, want)
			}
			if want != 101 {
				_ = m.c.Close()
				continue
			}
			go m.listen()
			defer m.c.Close()
			for _, old := range all { // a fresher token of the same login extends them
				if !old.over && old.user == m.user && old.sid == m.sid && old.until.Before(m.until) {
					old.until, old.issued = m.until, m.issued
				}
			}
			known := map[string]bool{}
			for _, m := range all {
				known[m.handle] = true
			}
			for info := range g.Sessions() {
				if !known[info.Handle] {
					m.handle = info.Handle
				}
			}
			all = append(all, m)
		case "renew":
			if len(all) == 0 {
				continue
			}
			m := all[s.n%len(all)]
			renewed := &modelled{user: s.user, sid: s.sid, issued: time.Now()}
			err := g.Renew(context.Background(), m.handle, token(s, time.Now().Add(s.ttl)))
			var want error
			switch {
			case m.over || s.user != m.user:
				want = errors.New("any")
			default:
				for _, r := range revoked {
					if renewed.matches(r.step, r.at) {
						want = portcullis.ErrRevoked
					}
				}
			}
			if (err == nil) != (want == nil) || errors.Is(want, portcullis.ErrRevoked) && !errors.Is(err, want) {
				return fmt.Errorf("step %d %+v: Renew: %w, want %w", i, s, err, want)
			}
			if until := time.Now().Add(s.ttl); err == nil && !until.Before(m.until) {
				m.until, m.sid, m.issued = until, s.sid, time.Now()
			}
		case "revoke":
			rev := portcullis.Revocation{Subject: s.user, SessionID: s.sid}
			switch s.field {
			case "user":
				rev.SessionID = ""
			case "sid":
				rev.Subject = ""
			}
			at := time.Now()
			if s.late {
				at = at.Add(-s.wait)
				rev.IssuedBefore = at
			}
			if err := g.Revoke(context.Background(), rev); err != nil {
				return err
			}
			revoked = append(revoked, revocation{s, at})
			for _, m := range all {
				if !m.over && m.matches(s, at) {
					m.over, m.closing = true, "3003 session_revoked"
				}
			}
		case "wait":
			time.Sleep(s.wait)
			for _, m := range all {
				if !m.over && !m.until.After(time.Now()) {
					m.over, m.closing = true, "3000 token_expired"
				}
			}
		case "withdraw":
			withdrawn.Store(s.user+s.sid, time.Now())
			at := time.Now()
			time.Sleep(notice)
			for _, m := range all {
				switch {
				case m.over:
				case m.user == s.user && m.sid == s.sid && !m.issued.After(at):
					m.over, m.closing = true, "3003 session_revoked"
					if !m.until.After(time.Now()) { // whichever came first
						m.closing += " or 3000 token_expired"
					}
				case !m.until.After(time.Now()):
					m.over, m.closing = true, "3000 token_expired"
				}
			}
		case "leave":
			if len(all) > 0 {
				m := all[s.n%len(all)]
				_ = m.c.Close()
				if !m.over {
					m.over = true
				}
			}
		}
		for _, m := range all {
			if err := m.check(); err != nil {
				return fmt.Errorf("step %d %+v: %w", i, s, err)
			}
		}
	}
	live := 0
	for _, m := range all {
		if !m.over {
			live++
		}
	}
	synctest.Wait()
	infos := 0
	for range g.Sessions() {
		infos++
	}
	if infos != live || int(running.Load()) != live {
		return fmt.Errorf("%d sessions and %d handlers, want %d", infos, running.Load(), live)
	}
	if err := g.Shutdown(context.Background()); err != nil {
		return err
	}
	for _, m := range all {
		if !m.over {
			m.over, m.closing = true, "1012 shutdown"
		}
		if err := m.check(); err != nil {
			return fmt.Errorf("at shutdown: %w", err)
		}
	}
	synctest.Wait()
	if !g.Empty() || running.Load() > 0 {
		return fmt.Errorf("left: empty %v, %d handlers", g.Empty(), running.Load())
	}
	return nil
}

// listen answers a Close frame and closes, as a browser does.
func (m *modelled) listen() {
	for {
		f, err := m.c.next()
		switch {
		case err != nil:
			m.closed <- ""
			return
		case f.Header.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			m.closed <- fmt.Sprintf("%d %s", code, reason)
			_ = ws.WriteFrame(m.c.Conn, ws.MaskFrame(f))
			_ = m.c.Close()
			return
		default:
			m.echoes <- string(f.Payload)
		}
	}
}

// check compares the socket with what it should be.
func (m *modelled) check() error {
	synctest.Wait()
	if !m.over {
		if err := ws.WriteFrame(m.c.Conn, ws.MaskFrame(wsText("ping"))); err != nil {
			return fmt.Errorf("a socket whose right lasts: %w", err)
		}
		synctest.Wait()
		select {
		case <-m.echoes:
			return nil
		case how := <-m.closed:
			return fmt.Errorf("a socket whose right lasts was closed: %q", how)
		default:
			return errors.New("a socket whose right lasts doesn't answer")
		}
	}
	if m.closed == nil { // checked before
		return nil
	}
	select {
	case how := <-m.closed:
		m.closed = nil
		if !slices.Contains(strings.Split(m.closing, " or "), how) {
			return fmt.Errorf("closed with %q, want %q", how, m.closing)
		}
		return nil
	default:
		return fmt.Errorf("a socket whose right is over (%q) lives on", m.closing)
	}
}
