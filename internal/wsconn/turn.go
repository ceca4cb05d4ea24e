package wsconn

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// turn is held by the goodbye that begins. If thousands began at once, whoever
// else has something to do would have to wait for all of them.
//
// It is a mutex, and not a queue with a worker, because a goodbye has to run on
// a goroutine that its End has started: that one belongs to the same bubble of
// testing/synctest as the connection.
var turn sync.Mutex

// hold bounds how long a goodbye that is stuck keeps the turn.
const hold = time.Millisecond

// takeTurn waits for the turn, and lets everybody else go first who is ready to
// run. It returns what passes the turn on; that is to be called, and does it
// unless hold is over. What isn't TCP beneath has no turn to pass on any more:
// who waits for a mutex stops the clock of a bubble, and hold would never end.
func takeTurn(nc net.Conn) (pass func()) {
	turn.Lock()
	runtime.Gosched()
	if TCP(beneath(nc)) == nil {
		turn.Unlock()
		return func() {}
	}
	unlock := sync.OnceFunc(turn.Unlock)
	late := time.AfterFunc(hold, unlock)
	return func() {
		late.Stop()
		unlock()
	}
}
