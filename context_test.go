package portcullis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

type parentKey struct{}

// The context of a request behaves as one of the standard library would, whether
// somebody asks it for something before its end, or after it only.
func TestContextOfRequest(t *testing.T) {
	why := errors.New("revoked by a test")
	for _, tt := range []struct {
		name  string
		end   func(g *portcullis.Guard, cancelParent func()) // while the handler runs; nil: it isn't ended
		cause error                                          // of the context, from then on
	}{
		{"handler returns", nil, nil},
		{"authorization ends", func(g *portcullis.Guard, _ func()) {
			g.End(why, func(*portcullis.Identity) bool { return true })
		}, why},
		{"client goes", func(_ *portcullis.Guard, cancelParent func()) { cancelParent() }, context.Canceled},
		{"authorization ends, then the client goes", func(g *portcullis.Guard, cancelParent func()) {
			g.End(why, func(*portcullis.Identity) bool { return true })
			cancelParent()
		}, why},
	} {
		for _, early := range []bool{true, false} {
			name := tt.name + ", asked late"
			if early {
				name = tt.name + ", asked early"
			}
			t.Run(name, func(t *testing.T) {
				g := newGuard()
				parent, cancelParent := context.WithCancel(context.WithValue(t.Context(), parentKey{}, "parent's"))
				parent, cancel := context.WithDeadline(parent, time.Now().Add(time.Hour))
				defer cancel()
				deadline, _ := parent.Deadline()
				var ctx, child context.Context
				var called <-chan struct{}
				ask := func() {
					var stop context.CancelFunc
					child, stop = context.WithCancel(ctx)
					t.Cleanup(stop)
					c := make(chan struct{})
					called = c
					context.AfterFunc(ctx, func() { close(c) })
				}
				check := func(err, cause error) {
					t.Helper()
					if got := ctx.Err(); !errors.Is(got, err) {
						t.Errorf("Err: %v, want %v", got, err)
					}
					if got := context.Cause(ctx); !errors.Is(got, cause) {
						t.Errorf("cause: %v, want %v", got, cause)
					}
					if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline) {
						t.Errorf("deadline %v, %v, want %v", got, ok, deadline)
					}
					if got := ctx.Value(parentKey{}); got != "parent's" {
						t.Errorf("the parent's value: %v", got)
					}
					if id, ok := portcullis.FromContext(ctx); !ok || id == nil {
						t.Errorf("user %v, %v", id, ok)
					}
				}
				h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					ctx = r.Context()
					if early {
						ask()
						check(nil, nil)
					}
					if tt.end == nil {
						return
					}
					tt.end(g, cancelParent)
					if !early {
						ask()
					}
					<-ctx.Done()
					<-child.Done()
					<-called
					check(context.Canceled, tt.cause)
					if got := context.Cause(child); !errors.Is(got, tt.cause) {
						t.Errorf("cause of a child: %v, want %v", got, tt.cause)
					}
				}))
				r := httptest.NewRequestWithContext(parent, http.MethodGet, "/", nil)
				r.Header.Set("Authorization", "Bearer good")
				func() {
					defer func() { _ = recover() }() // an answer that had begun is given up
					h.ServeHTTP(httptest.NewRecorder(), r)
				}()
				cancelParent()
				if !early && tt.end == nil {
					ask()
				}
				<-called
				cause := tt.cause
				if cause == nil {
					cause = context.Canceled
				}
				check(context.Canceled, cause) // also for who outlives the request
			})
		}
	}
}

// Whoever asks while authorization ends hears of it.
func TestContextIsAskedWhileItEnds(t *testing.T) {
	why := errors.New("revoked by a test")
	for range 500 {
		g := newGuard()
		h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					<-r.Context().Done()
					if got := context.Cause(r.Context()); !errors.Is(got, why) {
						t.Errorf("cause %v, want %v", got, why)
					}
				})
			}
			g.End(why, func(*portcullis.Identity) bool { return true })
			all.Wait()
		}))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer good")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// The first end counts, whoever asks when.
func TestContextKeepsTheFirstEnd(t *testing.T) {
	why := errors.New("revoked by a test")
	revoke := func(g *portcullis.Guard) { g.End(why, func(*portcullis.Identity) bool { return true }) }
	for _, tt := range []struct {
		name    string
		upgrade bool
		during  func(g *portcullis.Guard, cancelParent func())
		err     error
		cause   error
	}{
		{"revoked, then the client goes", true, func(g *portcullis.Guard, cancelParent func()) {
			revoke(g)
			cancelParent()
			synctest.Wait()
		}, context.Canceled, why},
		{"the client goes, then revoked", true, func(g *portcullis.Guard, cancelParent func()) {
			cancelParent()
			synctest.Wait()
			revoke(g)
		}, context.Canceled, context.Canceled},
		{"the parent's time is over, then revoked", false, func(g *portcullis.Guard, _ func()) {
			time.Sleep(time.Minute)
			revoke(g)
		}, context.DeadlineExceeded, context.DeadlineExceeded},
		{"the parent's time is over", false, func(*portcullis.Guard, func()) { time.Sleep(time.Minute) }, context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		for _, returned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, handler has returned %v", tt.name, returned), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGuard()
					parent, cancelParent := context.WithTimeout(t.Context(), time.Second)
					defer cancelParent()
					r := httptest.NewRequestWithContext(parent, http.MethodGet, "/", nil)
					r.Header.Set("Authorization", "Bearer good")
					if tt.upgrade {
						r.Header.Set("Connection", "Upgrade")
						r.Header.Set("Upgrade", "websocket")
					}
					var ctx context.Context
					check := func() {
						t.Helper()
						if err, cause := ctx.Err(), context.Cause(ctx); err != tt.err || cause != tt.cause { //nolint:errorlint // as they are
							t.Errorf("%v, cause %v; want %v, cause %v", err, cause, tt.err, tt.cause)
						}
					}
					g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						ctx = r.Context()
						tt.during(g, cancelParent)
						if !returned {
							check()
						}
					})).ServeHTTP(httptest.NewRecorder(), r)
					check()
				})
			})
		}
	}
}
