package httpcheck_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/verify/httpcheck"
)

// I3: an answer is used again no longer than its headers allow.
func TestI3CacheHeaders(t *testing.T) {
	const silent, longest = -1, 1 << 31
	date := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return date.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		name   string
		header http.Header
		want   time.Duration // seconds; silent: the answer doesn't say
	}{
		{"nothing", http.Header{}, silent},
		{"private", http.Header{"Cache-Control": {"private"}}, silent},
		{"max-age", http.Header{"Cache-Control": {"max-age=60"}}, 60},
		{"among others", http.Header{"Cache-Control": {"private,  ,MAX-Age=60 , must-revalidate"}}, 60},
		{"in two lines", http.Header{"Cache-Control": {"private", "max-age=60"}}, 60},
		{"s-maxage is not for us", http.Header{"Cache-Control": {"s-maxage=600, max-age=60"}}, 60},
		{"s-maxage alone", http.Header{"Cache-Control": {"s-maxage=600"}}, silent},
		{"max-age=0", http.Header{"Cache-Control": {"max-age=0"}}, 0},
		{"no-store", http.Header{"Cache-Control": {"max-age=60, no-store"}}, 0},
		{"no-cache", http.Header{"Cache-Control": {"No-Cache, max-age=60"}}, 0},
		{"no-cache for a header", http.Header{"Cache-Control": {`no-cache="Set-Cookie", max-age=60`}}, 0},
		{"no-store beside Expires", http.Header{"Cache-Control": {"no-store"}, "Expires": {in(time.Minute)}, "Date": {in(0)}}, 0},
		{"twice", http.Header{"Cache-Control": {"max-age=60, max-age=60"}}, 0},
		{"twice, in two lines", http.Header{"Cache-Control": {"max-age=60", "max-age=61"}}, 0},
		{"negative", http.Header{"Cache-Control": {"max-age=-1"}}, 0},
		{"fraction", http.Header{"Cache-Control": {"max-age=1.5"}}, 0},
		{"words", http.Header{"Cache-Control": {"max-age=long"}}, 0},
		{"no argument", http.Header{"Cache-Control": {"max-age"}}, 0},
		{"empty argument", http.Header{"Cache-Control": {"max-age="}}, 0},
		{"quoted", http.Header{"Cache-Control": {`max-age="60"`}}, 0},
		{"hidden in quotes", http.Header{"Cache-Control": {`x="a, max-age=60, b=c"`}}, 0},
		{"space before =", http.Header{"Cache-Control": {"max-age =60"}}, 0},
		{"other separators", http.Header{"Cache-Control": {"max-age=60; private"}}, 0},
		{"largest", http.Header{"Cache-Control": {"max-age=2147483648"}}, longest},
		{"larger", http.Header{"Cache-Control": {"max-age=9999999999"}}, longest},
		{"out of range", http.Header{"Cache-Control": {"max-age=99999999999999999999999"}}, longest},
		{"Age", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"50"}}, 10},
		{"Age beyond", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"61"}}, 0},
		{"Age nonsense", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"old"}}, 0},
		{"Age twice", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"1", "2"}}, 0},
		{"Age, huge", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"99999999999999999999999"}}, 0},
		{"Expires", http.Header{"Expires": {in(time.Minute)}, "Date": {in(0)}}, 60},
		{"Expires and Age", http.Header{"Expires": {in(time.Minute)}, "Date": {in(0)}, "Age": {"50"}}, 10},
		{"Expires beside private", http.Header{"Cache-Control": {"private"}, "Expires": {in(time.Minute)}, "Date": {in(0)}}, 60},
		{"max-age before Expires", http.Header{"Cache-Control": {"max-age=30"}, "Expires": {in(time.Minute)}, "Date": {in(0)}}, 30},
		{"Expires in the past", http.Header{"Expires": {in(-time.Minute)}, "Date": {in(0)}}, 0},
		{"Expires 0", http.Header{"Expires": {"0"}, "Date": {in(0)}}, 0},
		{"Expires -1", http.Header{"Expires": {"-1"}}, 0},
		{"Expires twice", http.Header{"Expires": {in(time.Minute), in(time.Minute)}, "Date": {in(0)}}, 0},
		{"Expires in year 9999", http.Header{"Expires": {"Fri, 31 Dec 9999 23:59:59 GMT"}, "Date": {in(0)}}, longest},
		{"Date nonsense", http.Header{"Expires": {in(time.Minute)}, "Date": {"today"}}, 0},
		{"Expires without Date, past", http.Header{"Expires": {"Thu, 19 Nov 1981 08:52:00 GMT"}, "Date": nil}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serve := func(body string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					for name, values := range tt.header {
						w.Header()[name] = values
					}
					answer(body)(w, r)
				}
			}
			before := time.Now().Round(0)
			got, err := verify(t, httpcheck.Config{CacheHeaders: true}, serve(`{"sub":"u1"}`))
			after := time.Now().Round(0)
			if err != nil {
				t.Fatal(err)
			}
			lifetime := tt.want * time.Second
			switch until := got.ReuseUntil; {
			case tt.want == silent:
				if !until.IsZero() {
					t.Errorf("ReuseUntil %v, want none", until)
				}
			case until.Before(before.Add(lifetime)) || until.After(after.Add(lifetime)):
				t.Errorf("ReuseUntil %v, want it %v after %v to %v", until, lifetime, before, after)
			}
			if got.ReuseUntil != got.ReuseUntil.Round(0) { // by the wall clock only
				t.Errorf("ReuseUntil %v", got.ReuseUntil)
			}
			if want := tt.want > 0; got.ExpiresAt.IsZero() == want || want && !got.ExpiresAt.Equal(got.ReuseUntil) {
				t.Errorf("ExpiresAt %v beside ReuseUntil %v", got.ExpiresAt, got.ReuseUntil)
			}

			got, err = verify(t, httpcheck.Config{CacheHeaders: true}, serve(`{"sub":"u1","exp":1800000000}`))
			if err != nil || !got.ExpiresAt.Equal(time.Unix(1800000000, 0)) || got.ReuseUntil.IsZero() != (tt.want == silent) {
				t.Errorf("with an expiry in the body: %+v, %v", got, err)
			}

			got, err = verify(t, httpcheck.Config{}, serve(`{"sub":"u1"}`))
			if err != nil || !got.ExpiresAt.IsZero() || !got.ReuseUntil.IsZero() {
				t.Errorf("not configured: %+v, %v", got, err)
			}
		})
	}
}

// I3: without a Date, Expires is read by our clock.
func TestI3ExpiresWithoutDate(t *testing.T) {
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	got, err := verify(t, httpcheck.Config{CacheHeaders: true}, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("Expires", until.UTC().Format(http.TimeFormat))
		answer(`{"sub":"u1"}`)(w, r)
	})
	if err != nil || !got.ReuseUntil.Equal(until) || !got.ExpiresAt.Equal(until) {
		t.Errorf("%+v, %v, want %v", got, err, until)
	}
}
