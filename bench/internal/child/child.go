// Package child starts processes: other programs, or this one in another part,
// which then talks JSON.
package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Patience bounds what should take no time: only a failure waits as long.
const Patience = 30 * time.Second

// A Part is what this program does as its own child. It ends when there is
// nothing more to read, or ctx is done.
type Part func(ctx context.Context, args []string, in *json.Decoder, out *json.Encoder) error

// Parts are a program's, by the first word of their command lines.
type Parts map[string]Part

// Main is the main function of the program: it plays the part that the command
// line names, if it names one, else it calls run. ctx is done when the program is
// told to end.
func (p Parts) Main(name string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.play(ctx, os.Args[1:], run); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func (p Parts) play(ctx context.Context, args []string, run func(context.Context, []string) error) error {
	if len(args) == 0 || p[args[0]] == nil {
		return run(ctx, args)
	}
	return p[args[0]](ctx, args[1:], json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout))
}

// A Child is a process of ours, in a process group of its own. One that serves
// and doesn't read is stopped by a signal.
type Child struct {
	cmd   *exec.Cmd
	serve bool
	pipes ends   // ours, to one that doesn't serve
	log   string // file with its standard error
	ended chan struct{}
	err   error // of its end, once ended is closed
	*json.Encoder
	*json.Decoder
}

// Own starts this program in one of its parts, without the runtime's signals to
// threads (see package loop). Its standard error goes to the file log.
func Own(log string, args ...string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	return start(cmd, log, false)
}

// Server starts a program that serves until it is told to end. Its output goes
// to the file log.
func Server(cmd *exec.Cmd, log string) (*Child, error) { return start(cmd, log, true) }

func start(cmd *exec.Cmd, log string, serve bool) (*Child, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // the child has its own
	cmd.Stderr = file
	cmd.SysProcAttr = attributes()
	c := &Child{cmd: cmd, serve: serve, log: log, ended: make(chan struct{})}
	if serve {
		cmd.Stdout = file
	} else {
		// Its own pipes: Wait closes those of the Cmd, with words still in them.
		theirs, err := c.connect()
		if err != nil {
			return nil, err
		}
		defer theirs.close()
		cmd.Stdin, cmd.Stdout = theirs.read, theirs.write
		c.Encoder, c.Decoder = json.NewEncoder(c.pipes.write), json.NewDecoder(c.pipes.read)
	}
	if err := cmd.Start(); err != nil {
		c.pipes.close()
		return nil, err
	}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// ends are one process's ends of two pipes.
type ends struct{ read, write *os.File }

func (e ends) close() {
	_ = e.read.Close()
	_ = e.write.Close()
}

func (c *Child) connect() (theirs ends, err error) {
	if c.pipes.read, theirs.write, err = os.Pipe(); err != nil {
		return theirs, err
	}
	theirs.read, c.pipes.write, err = os.Pipe()
	return theirs, err
}

// PID is the process, and the process group.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Log returns what the child has logged.
func (c *Child) Log() string {
	raw, _ := os.ReadFile(c.log)
	return string(raw)
}

// LogSince returns what the child has logged behind the first n bytes.
func (c *Child) LogSince(n int64) ([]byte, error) {
	file, err := os.Open(c.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(n, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

// Ended is closed when the process has ended.
func (c *Child) Ended() <-chan struct{} { return c.ended }

func (c *Child) name() string { return strings.Join(c.cmd.Args[:min(2, len(c.cmd.Args))], " ") }

// Hear takes what the child says next.
func (c *Child) Hear(v any) error {
	if err := c.Decode(v); err != nil {
		return fmt.Errorf("%s says nothing (%w): %s", c.name(), err, c.Log())
	}
	return nil
}

// Ask says something to the child, and takes its answer.
func (c *Child) Ask(question, answer any) error {
	if err := c.Encode(question); err != nil {
		return errors.Join(err, c.Hear(answer))
	}
	return c.Hear(answer)
}

// Stop ends the child, and wants it to end well.
func (c *Child) Stop() error {
	if c.serve {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	} else {
		_ = c.pipes.write.Close()
	}
	late := time.AfterFunc(Patience, func() { _ = syscall.Kill(-c.PID(), syscall.SIGKILL) })
	defer late.Stop()
	<-c.ended
	c.pipes.close()
	var exit *exec.ExitError
	if c.serve && errors.As(c.err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
			return nil // as it was told
		}
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w", c.name(), c.err)
	}
	return nil
}
