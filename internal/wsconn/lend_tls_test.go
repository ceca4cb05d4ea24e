package wsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// A dripping conn writes byte by byte, and a reader has the time to ask for more
// in between.
type dripping struct{ net.Conn }

func (d dripping) Write(p []byte) (n int, err error) {
	for n = range p {
		if _, err := d.Conn.Write(p[n : n+1]); err != nil {
			return n, err
		}
		yield()
	}
	return len(p), nil
}

// crypto/tls goes on where it was told that there is nothing: inside of a
// record, of the messages that follow a handshake, of the alert at the end.
func TestReadLentOfTLSInPieces(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := httptest.NewTLSServer(nil) // for its certificate
			defer s.Close()
			ours, peer := tcp(t)
			config := s.TLS.Clone()
			config.MaxVersion = version
			server := tls.Server(dripping{peer}, config)
			client := tls.Client(wsconn.ForTLS(ours), &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
			done := make(chan error, 1)
			go func() { done <- server.Handshake() }()
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			c := wsconn.New(client, wsconn.Options{})
			sent := bytes.Repeat([]byte("hello"), 300)
			go func() {
				if err := <-done; err != nil {
					t.Error(err)
				}
				_, _ = server.Write(sent)
				_ = server.Close()
			}()
			if got, err := io.ReadAll(&borrower{Conn: c, TB: t}); !bytes.Equal(got, sent) || err != nil {
				t.Errorf("got %d bytes, %v; want %d, and the end", len(got), err, len(sent))
			}
			_ = c.Close()
		})
	}
}

// A holding conn keeps what is written until it is let go.
type holding struct {
	net.Conn
	held bytes.Buffer
	hold bool
}

func (h *holding) Write(p []byte) (int, error) {
	if h.hold {
		return h.held.Write(p)
	}
	return h.Conn.Write(p)
}

// TLS looks at what is behind a record. If that is a part of an alert, what was
// read isn't lost, and doesn't wait for the rest.
func TestReadLentBeforeAPartOfAnAlert(t *testing.T) {
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	ours, peer := tcp(t)
	over := &holding{Conn: peer}
	config := s.TLS.Clone()
	config.MaxVersion = tls.VersionTLS12 // 1.3 hides what is an alert
	server := tls.Server(over, config)
	client := tls.Client(wsconn.ForTLS(ours), &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	over.hold = true
	if _, err := io.WriteString(server, "last words"); err != nil {
		t.Fatal(err)
	}
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = peer.SetWriteDeadline(time.Time{}) // crypto/tls lets nobody write any more
	_ = peer.SetWriteDeadline(time.Time{}) // CloseWrite has left one
	all := over.held.Bytes()
	c := wsconn.New(client, wsconn.Options{})
	defer func() { _ = c.Close() }()
	r := &borrower{Conn: c, TB: t}
	if _, err := peer.Write(all[:len(all)-3]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := r.Read(got); string(got[:n]) != "last words" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if _, err := peer.Write(all[len(all)-3:]); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(got); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("then %q, %v; want the end", got[:n], err)
	}
}

// A connection that breaks inside of a record hasn't ended.
func TestReadLentOfABrokenRecord(t *testing.T) {
	ours, peer := waitable(t)
	over := peer.(*tls.Conn).NetConn()
	if _, err := over.Write([]byte{23, 3, 3, 0, 99, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := over.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c := wsconn.New(ours, wsconn.Options{})
	if _, n, err := c.ReadLent(nil); n > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes, %v; want ErrUnexpectedEOF", n, err)
	}
	_ = c.Close()
}
