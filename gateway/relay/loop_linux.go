package relay

import (
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readSize  = 64 << 10 // how much is read at once, in bytes
	burst     = 4        // how often one side is read before others have their turn
	maxEvents = 1024     // how many events are taken at once
	farewells = 8        // how many ended pairs are taken at once
	spare     = 16       // how many blocks are kept for later
)

// What ended pairs get of a turn, so that thousands of them don't keep others
// waiting: to be told goodbye, and while others are waiting for that, to do what
// is left to do after it.
const (
	goodbyeTime = time.Millisecond / 4
	tailTime    = goodbyeTime / 16
)

// A loop moves the frames of the sockets that it was given, on one goroutine.
// Only that goroutine touches the fields without a mutex.
//
// The descriptors are registered edge-triggered, once: to stop reading from a
// side is just not to read.
type loop struct {
	epoll    int
	file     *os.File // epoll's: the runtime's poller waits for it
	raw      syscall.RawConn
	poll     func(fd uintptr) bool
	events   [maxEvents]unix.EpollEvent
	got      int // how many of the events are valid
	wake     int // an eventfd
	buf      [readSize]byte
	blocks   []*block             // not in use
	ready    []*pair              // with more to read than was their turn
	tails    []*pair              // that have been told goodbye, with something to do
	clock    func() time.Duration // always more than 0
	now      time.Duration        // by the clock, when the turn began
	timers   wheel
	deadline time.Duration // of file, by the clock; 0: none
	stopped  chan struct{}

	mu      sync.Mutex // guards what follows
	pairs   []*pair    // by descriptor
	fresh   []arrival  // in pairs, but nothing of them is watched yet
	ended   []*pair    // whose goodbye hasn't begun
	woken   bool       // wake has been written
	closing bool
}

// An arrival is a pair with what has been read of it already.
type arrival struct {
	*pair
	client, backend []byte
}

// newLoop returns a loop that runs until stop.
func newLoop(clock func() time.Duration) (*loop, error) {
	l := &loop{wake: -1, stopped: make(chan struct{}), clock: clock}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	// A descriptor that doesn't block is one that os.File gives to the poller.
	if err = unix.SetNonblock(l.epoll, true); err == nil {
		l.file = os.NewFile(uintptr(l.epoll), "epoll")
		if l.raw, err = l.file.SyscallConn(); err == nil {
			if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
				err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.wake)})
			}
		}
	}
	if err != nil {
		l.free()
		return nil, err
	}
	l.poll = func(fd uintptr) bool {
		l.got = epollWait(int(fd), l.events[:])
		return l.got > 0
	}
	go l.run()
	return l, nil
}

func (l *loop) free() {
	if l.wake >= 0 {
		_ = unix.Close(l.wake)
	}
	if l.file != nil {
		_ = l.file.Close()
	} else {
		_ = unix.Close(l.epoll)
	}
}

func (l *loop) run() {
	defer close(l.stopped)
	defer l.free()
	for {
		l.wait()
		l.now = l.clock()
		for i := range l.events[:l.got] {
			l.handle(&l.events[i])
		}
		l.again()
		if l.timers.count > 0 {
			l.timers.advance(l.now, (*pair).late)
		}
		if !l.inbox() {
			return
		}
		l.finish()
	}
}

// wait fills the events. It doesn't wait if there is something else to do.
func (l *loop) wait() {
	l.got = 0
	if len(l.ready) > 0 || len(l.tails) > 0 || l.busy() {
		l.poll(uintptr(l.epoll))
		return
	}
	if due := l.timers.next(); due != l.deadline {
		l.deadline = due
		var at time.Time
		if due > 0 {
			at = time.Now().Add(due - l.clock())
		}
		_ = l.file.SetReadDeadline(at)
	}
	// In the runtime's poller, and not in epoll_wait: a thread that blocks
	// there costs two hand-overs for each event.
	_ = l.raw.Read(l.poll)
}

// busy reports whether there are pairs that are to be told goodbye.
func (l *loop) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ended) > 0
}

// handle does what an event asks for.
func (l *loop) handle(e *unix.EpollEvent) {
	fd := int(e.Fd)
	if fd == l.wake {
		_, _ = read(fd, l.buf[:8])
		return
	}
	l.mu.Lock()
	p := l.pairs[fd]
	l.mu.Unlock()
	if p != nil { // else it was closed by an event of the same turn
		p.handle(fd, e.Events)
	}
}

// again goes on with the pairs whose turn was over before all was read.
func (l *loop) again() {
	list := l.ready
	l.ready = nil
	for _, p := range list {
		p.listed = false
		p.handle(-1, 0)
	}
}

// inbox takes in what other goroutines have left. It reports false when the
// loop is to end.
func (l *loop) inbox() bool {
	l.mu.Lock()
	fresh := l.fresh
	l.fresh = nil
	l.woken = false
	var all []*pair
	if l.closing {
		all = slices.Clone(l.pairs)
	}
	closing := l.closing
	l.mu.Unlock()
	for _, a := range fresh {
		a.begin(a.client, a.backend)
	}
	for begin := time.Now(); l.farewell() && time.Since(begin) < goodbyeTime; {
	}
	if !closing {
		return true
	}
	for _, p := range all {
		if p != nil {
			p.abort()
		}
	}
	return false
}

// farewell has some of the ended pairs say goodbye, and reports whether there are
// more.
func (l *loop) farewell() bool {
	l.mu.Lock()
	ended := l.ended[:min(len(l.ended), farewells)]
	l.ended = l.ended[len(ended):]
	more := len(l.ended) > 0
	l.mu.Unlock()
	for _, p := range ended {
		p.goodbye()
	}
	clear(ended) // else what is behind them in the slice would keep them
	return more
}

// postpone has the pair, which has been told goodbye, do what there is to do when
// others have had their turn.
func (l *loop) postpone(p *pair) {
	if !p.postponed && !p.closed {
		p.postponed = true
		l.tails = append(l.tails, p)
	}
}

// finish goes on with those that have been told goodbye.
func (l *loop) finish() {
	most := goodbyeTime
	if l.busy() {
		most = tailTime
	}
	for begin := time.Now(); len(l.tails) > 0 && time.Since(begin) < most; {
		p := l.tails[0]
		l.tails[0] = nil
		l.tails = l.tails[1:]
		p.postponed = false
		p.tail()
	}
}

// add takes a pair. If nothing has been read of it, and it has no timer, the loop
// needn't even be woken. A loop that ends cuts it.
func (l *loop) add(a arrival) {
	l.mu.Lock()
	for _, fd := range []int{a.pair.client.fd, a.pair.backend.fd} {
		for fd >= len(l.pairs) {
			l.pairs = append(l.pairs, nil)
		}
		l.pairs[fd] = a.pair
	}
	closing := l.closing
	l.mu.Unlock()
	switch {
	case closing:
		a.abort()
	case len(a.client)+len(a.backend) > 0 || a.rules.timed() || !a.watch():
		l.tell(func() { l.fresh = append(l.fresh, a) })
	}
}

// remove forgets a descriptor.
func (l *loop) remove(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairs[fd] = nil
}

// end has the pair say goodbye, when it is its turn.
func (l *loop) end(p *pair) {
	l.tell(func() { l.ended = append(l.ended, p) })
}

// tell changes what inbox will find, and wakes the loop, unless that has ended.
func (l *loop) tell(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return
	}
	change()
	if !l.woken {
		l.woken = true
		_, _ = write(l.wake, one[:])
	}
}

// one is what an eventfd takes for it, in any byte order.
var one = [8]byte{1, 0, 0, 0, 0, 0, 0, 1}

func (l *loop) stop() {
	l.tell(func() { l.closing = true })
	<-l.stopped
}

// block returns one that holds b.
func (l *loop) block(b []byte) *block {
	var k *block
	if n := len(l.blocks); n > 0 {
		k, l.blocks = l.blocks[n-1], l.blocks[:n-1]
	} else {
		k = new(block)
	}
	k.rest, k.ours = b, false
	if len(b) <= readSize { // else it is a message that was held, and nobody else's any more
		k.rest = k.buf[:copy(k.buf[:], b)]
	}
	return k
}

// unblock takes a block back.
func (l *loop) unblock(k *block) {
	k.rest = nil
	if len(l.blocks) < spare {
		l.blocks = append(l.blocks, k)
	}
}
