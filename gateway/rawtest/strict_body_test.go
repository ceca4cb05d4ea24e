package rawtest_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// framing says how long the body is (section 6.3).
func (r *reader) framing(fields []field, version string) (size int64, chunked bool, err error) {
	codings, lengths := all(fields, "Transfer-Encoding"), all(fields, "Content-Length")
	for i, l := range lengths {
		if l == "" || strings.Trim(l, "0123456789") != "" || l != lengths[0] {
			return 0, false, refused("Content-Length isn't one number")
		}
		if i == 1 {
			if err := r.allow(sameLengths); err != nil {
				return 0, false, err
			}
		}
	}
	if len(lengths) > 0 {
		if size, err = strconv.ParseInt(lengths[0], 10, 64); err != nil {
			return 0, false, refused("Content-Length is too large")
		}
	}
	if codings == nil {
		return size, false, nil
	}
	switch {
	case version == "HTTP/1.0":
		return size, false, r.allow(oldCoding)
	case len(codings) != 1 || !strings.EqualFold(codings[0], "chunked"):
		return 0, false, refused("another Transfer-Encoding than chunked, or several")
	case lengths != nil:
		return 0, true, r.allow(lengthToo)
	}
	return 0, true, nil
}

// body reads a body and, in chunks (section 7.1), the trailers behind it.
func (r *reader) body(size int64, chunked bool) (body []byte, trailers []field, err error) {
	if !chunked {
		body, err = r.bytes(size)
		return body, nil, err
	}
	for {
		size, err := r.chunkSize()
		if err != nil {
			return body, nil, err
		}
		if size == 0 {
			trailers, err = r.fields(true)
			return body, trailers, err
		}
		chunk, err := r.bytes(size)
		body = append(body, chunk...)
		if err != nil {
			return body, nil, err
		}
		for _, want := range []byte("\r\n") {
			c, err := r.ReadByte()
			if err != nil {
				return body, nil, io.ErrUnexpectedEOF
			}
			if c != want {
				return body, nil, refused("a chunk is longer than it says")
			}
		}
	}
}

// bytes reads size bytes, or those that there are.
func (r *reader) bytes(size int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.CopyN(&b, r, min(size, maxBody))
	if err == nil && n < size {
		err = refused("a body that is too large for a test")
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

func (r *reader) chunkSize() (int64, error) {
	was := r.allowed
	r.allowed = slices.DeleteFunc(slices.Clone(was), func(l leniency) bool { return l == bareLF })
	line, err := r.line()
	r.allowed = was
	if err != nil {
		return 0, err
	}
	digits := line
	if i := strings.IndexFunc(line, func(c rune) bool { return c > 0x7F || !isHex(byte(c)) }); i >= 0 {
		digits = line[:i]
	}
	rest := line[len(digits):]
	switch {
	case digits == "":
		return 0, refused("a chunk without a size")
	case rest == "" || isExtension(rest):
	case strings.Trim(rest, " \t") == "":
		err = r.allow(spaceInChunk)
	case rest[0] == ';':
		err = r.allow(extension)
	default:
		err = refused("a chunk's size with something behind it")
	}
	size, convErr := strconv.ParseUint(digits, 16, 64)
	if err == nil && (convErr != nil || size > math.MaxInt64) {
		err = refused("a chunk that is too large")
	}
	return int64(size), err
}

// isExtension reports whether s is *( BWS ";" BWS token [ BWS "=" BWS value ] ),
// with nothing but tokens for values (section 7.1.1).
func isExtension(s string) bool {
	parts := strings.Split(s, ";")
	if len(parts) < 2 || strings.Trim(parts[0], " \t") != "" {
		return false
	}
	for _, p := range parts[1:] {
		name, value, ok := strings.Cut(p, "=")
		if !isToken(strings.Trim(name, " \t")) || ok && !isToken(strings.Trim(value, " \t")) {
			return false
		}
	}
	return !strings.HasSuffix(s, " ") && !strings.HasSuffix(s, "\t")
}
