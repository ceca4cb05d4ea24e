package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// A program runs in Node, in a process of its own.
type program struct {
	*exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner // what it prints
	log   bytes.Buffer   // its errors
	kill  context.CancelFunc
}

func startProgram(dir string, env []string, arguments ...string) (*program, error) {
	ctx, kill := context.WithCancel(context.Background())
	p := &program{Cmd: exec.CommandContext(ctx, "node", arguments...), kill: kill}
	p.Dir, p.Env, p.Stderr = dir, append(os.Environ(), env...), &p.log
	var err error
	if p.stdin, err = p.StdinPipe(); err == nil {
		var stdout io.Reader
		if stdout, err = p.StdoutPipe(); err == nil {
			p.lines = bufio.NewScanner(stdout)
			err = p.Start()
		}
	}
	if err != nil {
		kill()
		return nil, err
	}
	return p, nil
}

// ended waits for the end of a program that has been told to, when nobody reads
// its lines any more.
func (p *program) ended() error {
	hurry := time.AfterFunc(patience, p.kill)
	defer hurry.Stop()
	defer p.kill()
	for p.lines.Scan() {
	}
	if err := p.Wait(); err != nil {
		return fmt.Errorf("node: %w\n%s", err, &p.log)
	}
	return nil
}

// A peer is a program of the folder npm, which does what it is told, one thing or
// many at a time.
type peer struct {
	testing.TB
	*program
	gone chan struct{} // closed when it says nothing any more

	mu    sync.Mutex
	last  int // of the numbers of what was asked
	asked map[int]chan<- reply
}

type reply struct {
	ID     int
	Result json.RawMessage
	Error  string
}

// told are the arguments of what a peer is told.
type told map[string]any

// and returns them, and more.
func (args told) and(more told) told {
	both := make(told)
	maps.Copy(both, args)
	maps.Copy(both, more)
	return both
}

// startPeer starts a peer, until the test ends.
func startPeer(t testing.TB, script string) *peer {
	t.Helper()
	node, err := startProgram("npm", nil, script)
	if err != nil {
		t.Fatalf("this test needs Node; run make setup: %v", err)
	}
	p := &peer{TB: t, program: node, gone: make(chan struct{}), asked: make(map[int]chan<- reply)}
	go p.listen()
	t.Cleanup(func() {
		if p.ProcessState != nil {
			return // it was killed
		}
		_ = p.stdin.Close()
		<-p.gone
		if err := p.ended(); err != nil {
			t.Errorf("this test needs the packages of interop/npm; run make setup: %v", err)
		}
	})
	return p
}

func (p *peer) listen() {
	defer close(p.gone)
	for p.lines.Scan() {
		var r reply
		if err := json.Unmarshal(p.lines.Bytes(), &r); err != nil {
			p.Errorf("node says %q", p.lines.Bytes())
			continue
		}
		p.mu.Lock()
		to := p.asked[r.ID]
		delete(p.asked, r.ID)
		p.mu.Unlock()
		to <- r
	}
}

// begin tells the peer to do something, and returns what waits until that is done.
func begin[Result any](p *peer, do string, args told) (wait func() Result) {
	p.Helper()
	replied := make(chan reply, 1)
	p.mu.Lock()
	p.last++
	raw, err := json.Marshal(args.and(told{"id": p.last, "do": do}))
	p.asked[p.last] = replied
	p.mu.Unlock()
	if err == nil {
		_, err = p.stdin.Write(append(raw, '\n'))
	}
	if err != nil {
		p.Fatalf("%s: %v", do, err)
	}
	return func() (result Result) {
		p.Helper()
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case r := <-replied:
			if r.Error != "" {
				p.Fatalf("%s: %s", do, r.Error)
			}
			if err := json.Unmarshal(r.Result, &result); err != nil {
				p.Fatalf("%s: %v", do, err)
			}
		case <-p.gone:
			p.Fatalf("%s: node has gone", do)
		case <-late.C:
			p.Fatalf("%s %v: never", do, args["name"])
		}
		return result
	}
}

// tell has the peer do something, and waits until that is done.
func tell[Result any](p *peer, do string, args told) Result {
	p.Helper()
	return begin[Result](p, do, args)()
}

// do has the peer do what has no result.
func (p *peer) do(do string, args told) {
	p.Helper()
	tell[struct{}](p, do, args)
}

// crash kills the peer (SIGKILL).
func (p *peer) crash() {
	p.Helper()
	p.kill()
	<-p.gone
	_ = p.Wait() // killed
}
