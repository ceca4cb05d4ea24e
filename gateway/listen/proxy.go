package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/pires/go-proxyproto"
)

// The lengths of a PROXY header, in bytes.
const (
	shortest = 15      // of version 1: PROXY UNKNOWN, CR, LF
	longest1 = 107     // of version 1
	longest2 = 4 << 10 // that version 2 states: of the addresses, and what load balancers add
)

// errHeader is for all that is wrong with a header: what it is instead may be a
// request, with a token in it.
var errHeader = errors.New("no valid PROXY header")

// readHeader reads a PROXY protocol header, and not a byte more: what follows is
// for whoever reads the socket, which may be the kernel. It returns the address
// that the header states; nil: it states none, but that the load balancer itself
// is the client.
func readHeader(r io.Reader) (*net.TCPAddr, error) {
	text, err := headerText(r)
	if err != nil {
		return nil, err
	}
	rest := bufio.NewReader(bytes.NewReader(text)) // has room for a version 1 header, as the parser needs it
	h, err := proxyproto.Read(rest)
	if err != nil {
		return nil, errHeader // the parser's errors quote it
	}
	if _, err := rest.Peek(1); err == nil {
		return nil, errHeader
	}
	if h.Command.IsLocal() {
		return nil, nil //nolint:nilnil // as the comment says
	}
	source, _, ok := h.TCPAddrs()
	if !ok { // UDP, or a Unix socket
		return nil, errHeader
	}
	return net.TCPAddrFromAddrPort(source.AddrPort()), nil
}

// headerText reads what the header's framing says is one.
func headerText(r io.Reader) ([]byte, error) {
	text := make([]byte, shortest, longest1)
	if err := fill(r, text); err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(text, proxyproto.SIGV2):
		var last [1]byte // of the length
		if err := fill(r, last[:]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16([]byte{text[shortest-1], last[0]}))
		if n > longest2 {
			return nil, errHeader
		}
		text = append(append(text, last[0]), make([]byte, n)...)
		return text, fill(r, text[len(text)-n:])
	case bytes.HasPrefix(text, proxyproto.SIGV1):
		for !bytes.HasSuffix(text, []byte("\n")) {
			if len(text) == longest1 {
				return nil, errHeader
			}
			text = text[:len(text)+1]
			if err := fill(r, text[len(text)-1:]); err != nil {
				return nil, err
			}
		}
		return text, nil
	}
	return nil, errHeader
}

func fill(r io.Reader, p []byte) error {
	if _, err := io.ReadFull(r, p); err != nil {
		return fmt.Errorf("%w: %w", errHeader, err)
	}
	return nil
}
