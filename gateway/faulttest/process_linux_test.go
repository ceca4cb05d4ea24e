package faulttest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process is a street whose gateway is a process of its own.
type process struct {
	*street
	pid   int
	admin string // URL of the admin API
}

// start builds a street with a gateway in a process of its own, which must end
// well with the test.
func start(t testing.TB, text string) *process {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := build(t)
	s.log = new(syncBuffer)
	file := s.configure("listen: 127.0.0.1:0\nadmin: {listen: \"127.0.0.1:0\"}\n" + text)
	cmd := exec.Command(name)
	cmd.Stderr, cmd.Env = s.log, append(os.Environ(), asGateway+"="+file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the gateway ends with %v\n%s", err, gist(s.log.String()))
		}
	})
	p := &process{street: s, pid: cmd.Process.Pid}
	eventually(t, "the gateway serves", func() bool {
		for line := range strings.Lines(s.log.String()) {
			var r struct{ Msg, Listen, Admin string }
			if json.Unmarshal([]byte(line), &r) == nil && r.Msg == "serving" {
				s.addr, p.admin = r.Listen, "http://"+r.Admin
			}
		}
		return s.addr != ""
	})
	return p
}

// gist is what matters of a gateway's log: what the race detector or a panic says,
// else the end of it.
func gist(log string) string {
	for _, alarm := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if i := strings.Index(log, alarm); i >= 0 {
			return log[i:min(len(log), i+4000)]
		}
	}
	return log[max(0, len(log)-1000):]
}

// files returns how many descriptors the gateway has open.
func (p *process) files() int {
	p.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		p.Fatal(err)
	}
	return len(list)
}

// limit lets the gateway have so many descriptors more than it has, and returns
// how many that are.
func (p *process) limit(more int) int {
	p.Helper()
	most := p.files() + more
	n := uint64(most)
	if err := unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
		p.Fatal(err)
	}
	return most
}

// resident returns how many bytes of memory the gateway has.
func (p *process) resident() int {
	p.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, err := strconv.Atoi(f[1])
			if err != nil {
				p.Fatal(err)
			}
			return kib << 10
		}
	}
	p.Fatal("no VmRSS")
	return 0
}

// revoke ends all that the user has, through the admin API.
func (p *process) revoke(operator *http.Client, user string) error {
	resp, err := operator.Post(p.admin+"/v1/revocations", "application/json", strings.NewReader(`{"sub":"`+user+`"}`))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the admin API answers %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// sessions returns how many sessions there are, by the admin API.
func (p *process) sessions(operator *http.Client) (n int, err error) {
	resp, err := operator.Get(p.admin + "/v1/sessions")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var list struct{ Sessions []json.RawMessage }
	err = json.NewDecoder(resp.Body).Decode(&list)
	return len(list.Sessions), err
}

// newOperator returns a client of the admin API that keeps one connection.
func newOperator(t testing.TB) *http.Client {
	transport := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}
