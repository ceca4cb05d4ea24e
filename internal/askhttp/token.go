package askhttp

import "errors"

// MaxToken is how long a token may be, in bytes.
const MaxToken = 16 << 10

// CheckToken reports what keeps a string from being a token: it is empty,
// longer than [MaxToken], or has characters outside visible ASCII, which no
// kind of token has (RFC 6749, appendix A.12, less the space) and which would
// break out of a header. It costs nothing worth bounding, so it comes before
// anything that does (J5). The error doesn't quote the token.
func CheckToken(token string) error {
	if token == "" {
		return errors.New("empty token")
	}
	if len(token) > MaxToken {
		return errors.New("token too long")
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return errors.New("token with characters outside visible ASCII")
		}
	}
	return nil
}
