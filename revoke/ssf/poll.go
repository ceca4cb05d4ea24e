package ssf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

const (
	maxEvents  = 10               // SETs in one answer: as many as fit into it for certain
	firstPause = time.Second      // after the first failure; then doubled
	longPause  = time.Minute      // at most
	maxPause   = 10 * time.Minute // if the transmitter asks for it
	burst      = 10               // answers that may follow each other without a pause
)

// A PollConfig says where SETs are fetched. Endpoint is required.
type PollConfig struct {
	// Endpoint is the "endpoint_url" of the stream's delivery.
	Endpoint string

	// Bearer returns the access token for the endpoint. nil: none is sent.
	Bearer func(context.Context) (string, error)

	// Wait is how long the transmitter may take to answer, while it has no SET
	// for us. 0: 2 min.
	Wait time.Duration

	// Client lends its Transport and Timeout. nil: our own.
	Client *http.Client

	// InsecurePlainHTTP permits http to a host that is not loopback: whoever
	// can read what passes there gets the access token.
	InsecurePlainHTTP bool
}

// A Poller fetches SETs for a Receiver (RFC 8936). It is made by
// [Receiver.NewPoller].
//
// It remembers nothing for later: a SET is acknowledged after it has been
// carried out, and one that isn't acknowledged when the process ends is
// delivered again to the next.
type Poller struct {
	receiver *Receiver
	config   PollConfig
	asker    *askhttp.Asker
	done     acks // what the transmitter hasn't heard yet
	more     bool // whether the last answer had SETs, and said that there are more
}

// acks says what has become of SETs (RFC 8936, section 2.2).
type acks struct {
	Ack    []string            `json:"ack,omitempty"`
	Errors map[string]*refusal `json:"setErrs,omitempty"`
}

// NewPoller returns a Poller, or what is wrong with c. It makes no call.
func (r *Receiver) NewPoller(c PollConfig) (*Poller, error) {
	if _, err := askhttp.CheckURL(c.Endpoint, c.InsecurePlainHTTP); err != nil {
		return nil, fmt.Errorf("ssf: the endpoint's %w", err)
	}
	if c.Wait < 0 {
		return nil, errors.New("ssf: Wait is negative")
	}
	if c.Wait == 0 {
		c.Wait = 2 * time.Minute
	}
	// The asker's own limit is never reached: each poll has a shorter one.
	return &Poller{receiver: r, config: c, asker: askhttp.New(c.Client, 2*c.Wait)}, nil
}

// Run polls until ctx is done, and returns its error. What fails is logged, and
// tried again. Only one Run may run at a time.
func (p *Poller) Run(ctx context.Context) error {
	pause, quick := firstPause, 0
	for ctx.Err() == nil {
		began := time.Now()
		wait, err := p.poll(ctx)
		switch {
		case ctx.Err() != nil:
			continue
		case err != nil:
			p.receiver.config.Log.WarnContext(ctx, "cannot fetch SETs", "iss", p.receiver.config.Issuer, "error", err)
			// Between half of it and all: what failed together isn't to return together.
			wait = max(wait, pause/2+rand.N(pause/2)) //nolint:gosec // nobody gains by guessing it
			pause = min(2*pause, longPause)
		case p.more || time.Since(began) >= firstPause:
			pause, quick = firstPause, 0
			continue
		default:
			// A transmitter may not know long polling, or not hear what we say.
			pause = firstPause
			if quick++; quick <= burst {
				continue
			}
			wait = firstPause
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return ctx.Err()
}

// errAgain says that not every SET could be carried out.
var errAgain = errors.New("a SET could not be carried out, and will be fetched again")

// poll makes one call, and carries out what it brings. With an error comes how
// long the transmitter wants to be left alone.
func (p *Poller) poll(ctx context.Context) (time.Duration, error) {
	p.more = false
	answer, err := p.ask(ctx)
	if err != nil || answer == nil {
		return 0, err
	}
	sets, more, err := setsOf(answer)
	if err != nil {
		return pauseOf(answer), err
	}
	p.done, p.more = acks{}, more && len(sets) > 0
	var again error
	for id, raw := range sets {
		set, _ := jws.Text(raw) // "" is no SET
		err := p.receiver.receive(ctx, set, id)
		if err == nil {
			p.done.Ack = append(p.done.Ack, id)
		} else if bad := p.receiver.failed(ctx, err); bad != nil {
			if p.done.Errors == nil {
				p.done.Errors = make(map[string]*refusal)
			}
			p.done.Errors[id] = bad
		} else {
			again = errAgain // the transmitter would send it at once
		}
	}
	return 0, again
}

// ask sends a poll. nil and no error means that nothing came in time, which is
// what happens where a transmitter waits for longer than we do.
func (p *Poller) ask(ctx context.Context) (*askhttp.Answer, error) {
	body, err := json.Marshal(struct {
		MaxEvents         int  `json:"maxEvents"`
		ReturnImmediately bool `json:"returnImmediately"`
		acks
	}{MaxEvents: maxEvents, acks: p.done})
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, p.config.Wait)
	defer cancel()
	answer, err := ask(waiting, p.asker, http.MethodPost, p.config.Endpoint, body, p.config.Bearer)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && waiting.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return answer, err
}

// ask sends a request to the transmitter.
func ask(ctx context.Context, asker *askhttp.Asker, method, url string, body []byte, bearer func(context.Context) (string, error)) (*askhttp.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != nil {
		token, err := bearer(ctx)
		if err == nil {
			err = askhttp.CheckToken(token)
		}
		if err != nil {
			return nil, fmt.Errorf("the access token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return asker.Ask(req)
}

// setsOf returns the SETs of an answer by their ids, and whether there are more
// (RFC 8936, section 2.3).
func setsOf(answer *askhttp.Answer) (sets map[string]json.RawMessage, more bool, err error) {
	members, err := object(answer, http.StatusOK)
	if err != nil {
		return nil, false, err
	}
	if sets, err = strictjson.Object(members["sets"]); err != nil {
		return nil, false, errors.New(`the answer's "sets" is not an object`)
	}
	return sets, string(members["moreAvailable"]) == "true", nil
}

// pauseOf returns the Retry-After of an answer (RFC 9110, section 10.2.3).
func pauseOf(answer *askhttp.Answer) time.Duration {
	value := answer.Header("Retry-After")
	var pause time.Duration
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		pause = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		pause = time.Until(at)
	}
	return min(pause, maxPause)
}
