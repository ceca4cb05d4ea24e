package relay

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	settleAfter = time.Second // of silence
	settleMany  = 1000        // handshakes, at least
)

// settle gives back to the system what many handshakes have left behind, once
// they are over: else that stays, as large as the sockets themselves, until the
// runtime's next turn, which without new ones may be minutes away. The zero value
// works.
type settle struct {
	mu    sync.Mutex // guards what follows
	count int        // of handshakes since the last time
	timer *time.Timer
	off   bool
}

// opened notes a handshake.
func (s *settle) opened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; s.count < settleMany || s.off {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(settleAfter, s.free)
		return
	}
	s.timer.Reset(settleAfter)
}

func (s *settle) free() {
	s.mu.Lock()
	s.count = 0
	s.mu.Unlock()
	debug.FreeOSMemory()
}

func (s *settle) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
