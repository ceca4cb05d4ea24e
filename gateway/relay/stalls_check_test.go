package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// checkAll: where nobody ended it, everything arrives, and nothing else.
func (p *proxied) checkAll(r relay.Result) error {
	for side, got := range p.got {
		if want := p.streams[1-side].bytes; !bytes.Equal(got, want) || p.err[side] != nil {
			return fmt.Errorf("side %d got %d bytes, err %w; want %d, as they are", side, len(got), p.err[side], len(want))
		}
	}
	if r.Cause != nil || r.BackendAborted || r.FromClient != int64(len(p.got[backend])) || r.FromBackend != int64(len(p.got[client])) {
		return fmt.Errorf("result %+v", r)
	}
	return nil
}

// checkPrefixes: where a peer vanished, nothing was invented.
func (p *proxied) checkPrefixes(r relay.Result) error {
	for side, got := range p.got {
		if !bytes.HasPrefix(p.streams[1-side].bytes, got) {
			return fmt.Errorf("side %d got %d bytes that were not sent", side, len(got))
		}
	}
	if r.Cause != nil || r.BackendAborted {
		return fmt.Errorf("result %+v", r)
	}
	return nil
}

// checkClient: whole frames, of which the last one had begun, and the Close
// frame. Where Grace was over anything less will do.
func (p *proxied) checkClient(r relay.Result, least, most int64) error {
	if !errors.Is(r.Cause, portcullis.ErrRevoked) {
		return fmt.Errorf("cause %w", r.Cause)
	}
	return p.checkEnd(client, least, int64(p.streams[backend].end(most)), r.FromBackend, p.grace == patience)
}

// checkBackend: the same, but of what the relay had before the revocation; or
// the connection was aborted inside of a frame.
func (p *proxied) checkBackend(r relay.Result, least, most int64) error {
	if !r.BackendAborted {
		return p.checkEnd(backend, least, most, r.FromClient, p.grace == patience)
	}
	got, s := p.got[backend], p.streams[client]
	n := int64(len(got))
	if !bytes.HasPrefix(s.bytes, got) && p.grace == patience || n < least || n > most {
		return fmt.Errorf("the aborted backend got %d bytes, want %d to %d of what was sent", n, least, most)
	}
	if p.err[backend] == nil && p.sendErr[backend] == nil { // a reset is told once
		return errors.New("the backend was aborted, and saw a proper end")
	}
	// Of a TLS record that broke off nobody knows how much arrived.
	inside := p.secure || !slices.Contains(s.ends, int(r.FromClient))
	if p.grace == patience && (r.FromClient < n || r.FromClient > most || !inside) {
		return fmt.Errorf("the backend was aborted after %d bytes, having got %d of at most %d", r.FromClient, n, most)
	}
	return nil
}

// checkEnd wants whole frames of the other side, from least to most bytes, and
// a Close frame; all of it if whole.
func (p *proxied) checkEnd(side int, least, most, moved int64, whole bool) error {
	got, sent := p.got[side], p.streams[1-side]
	for _, end := range sent.ends {
		if end > len(got) || int64(end) > most {
			break
		}
		closing := unmask(got[end:], side == backend)
		if !bytes.Equal(got[:end], sent.bytes[:end]) || !bytes.HasPrefix(revoked, closing) || len(closing) == 0 {
			continue
		}
		switch {
		case whole && (len(closing) != len(revoked) || p.err[side] != nil):
			return fmt.Errorf("side %d got % x as Close frame, err %w", side, closing, p.err[side])
		case int64(end) < least:
			return fmt.Errorf("side %d had %d bytes before the revocation and has %d now", side, least, end)
		case whole && int64(end) != moved:
			return fmt.Errorf("side %d got %d bytes, result says %d", side, end, moved)
		}
		return nil
	}
	if !whole && bytes.HasPrefix(sent.bytes, got) && int64(len(got)) <= most {
		return nil
	}
	return fmt.Errorf("side %d got %d bytes, err %w; want at most %d, whole frames and Close; bytes as sent: %v",
		side, len(got), p.err[side], most, bytes.HasPrefix(sent.bytes, got))
}

// revoked is what a Close frame says that tells a revocation, without its mask.
var revoked = plain(ws.OpClose, "\x0b\xbbsession_revoked")

// unmask returns a short frame without its mask; what is no masked frame is
// returned as none.
func unmask(frame []byte, masked bool) []byte {
	if !masked {
		return frame
	}
	if len(frame) < 6 || frame[1]&0x80 == 0 {
		return nil
	}
	payload := bytes.Clone(frame[6:])
	ws.Cipher(payload, [4]byte(frame[2:6]), 0)
	return append([]byte{frame[0], frame[1] &^ 0x80}, payload...)
}

// end returns where the frame ends that n bytes end in.
func (s stream) end(n int64) int {
	i, _ := slices.BinarySearch(s.ends, int(n))
	return s.ends[i]
}
