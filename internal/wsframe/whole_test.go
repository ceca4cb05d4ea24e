package wsframe_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// wholeRules are for a client's messages of 100 bytes.
var wholeRules = wsframe.Rules{FromClient: true, UTF8: true, MaxMessage: 100, MaxFragments: 50, Whole: true}

func TestW5WholePassesOneMessageAtATime(t *testing.T) {
	ping1, ping2, pong1 := client(fin|ping, "1"), client(fin|ping, "2"), client(fin|pong, "")
	hello := client(fin|text, "hello")
	parts := stream(client(text, "a"), ping2, client(cont, ""), pong1, client(fin|cont, "b"))
	empty := client(fin|binary, "")
	bye := client(fin|closing, "\x03\xE8bye")
	p := stream(ping1, hello, parts, pong1, empty, ping1, ping2, bye, hello)

	var c wsframe.Checker
	o := feed(&c, p, &wholeRules, nil, len(p))
	want := [][]byte{stream(ping1, hello), parts, stream(pong1, empty), stream(ping1, ping2, bye)}
	if diff := cmp.Diff(want, o.passes); diff != "" || o.err != nil {
		t.Errorf("at once: err %v, passes (-want +got)\n%s", o.err, diff)
	}

	c = wsframe.Checker{}
	o = feed(&c, p, &wholeRules, nil, 1)
	want = [][]byte{ping1, hello, parts, pong1, empty, ping1, ping2, bye}
	if diff := cmp.Diff(want, o.passes); diff != "" || o.err != nil {
		t.Errorf("byte for byte: err %v, passes (-want +got)\n%s", o.err, diff)
	}
	if o.messages != 3 || !c.Closed() {
		t.Errorf("%d messages, closed %v", o.messages, c.Closed())
	}
}

// What Check returns and reports while a message is held.
func TestW5WholeHolds(t *testing.T) {
	var c wsframe.Checker
	p := client(fin|text, "hello")
	for i := range p {
		if n, err := c.Check(p[:i], &wholeRules, nil); n != 0 || err != nil || !c.AtBoundary() || c.Messages() != 0 {
			t.Errorf("%d bytes: %d pass, boundary %v, %d messages, err %v", i, n, c.AtBoundary(), c.Messages(), err)
		}
	}
	if n, err := c.Check(p, &wholeRules, nil); n != len(p) || err != nil || c.Messages() != 1 {
		t.Errorf("whole: %d bytes pass, %d messages, err %v", n, c.Messages(), err)
	}
	_, _ = c.Check(p[:8], &wholeRules, nil)
	if n, err := c.Check(p[:7], &wholeRules, nil); n != 0 || err != nil {
		t.Errorf("less than before: %d bytes pass, err %v", n, err)
	}
}

func TestW5WholeCloseInsideOfAMessage(t *testing.T) {
	p := stream(client(text, "a"), client(fin|ping, ""), client(fin|closing, "\x03\xE8bye"))
	for _, size := range []int{1, 5, 1 << 10} {
		var c wsframe.Checker
		o := feed(&c, p, &wholeRules, nil, size)
		if len(o.passes) != 1 || o.passed != len(p) || o.err != nil || !c.Closed() || o.messages != 0 || !c.AtBoundary() {
			t.Fatalf("pieces of %d bytes: %d passes, %d bytes, %d messages, closed %v, err %v",
				size, len(o.passes), o.passed, o.messages, c.Closed(), o.err)
		}
		if opcode, payload := wsframe.Payload(nil, o.passes[0]); opcode != 0 || payload != nil {
			t.Errorf("a message %d %q", opcode, payload)
		}
		if got, want := wsframe.Controls(nil, o.passes[0]), p[7:]; !bytes.Equal(got, want) {
			t.Errorf("controls % x, want % x", got, want)
		}
	}
}

func TestL2WholeHoldsNoMoreThanItMay(t *testing.T) {
	rules := wholeRules
	rules.MaxFragments = 0
	const most = 2*100 + 4<<10
	begin := client(text, "a")
	for _, tt := range []struct {
		name string
		rest []byte // again and again
	}{
		{"pings", client(fin|ping, string(make([]byte, 125)))},
		{"empty fragments", client(cont, "")},
		{"fragments of a byte", client(cont, "a")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := stream(begin, bytes.Repeat(tt.rest, 2000))
			for _, size := range []int{1, 100, len(p)} {
				var c wsframe.Checker
				o := feed(&c, p, &rules, nil, size)
				if code(t, o.err) != 1009 || o.passed != 0 || o.offered > max(most, size)+size {
					t.Errorf("pieces of %d bytes: %d passed, %d offered, err %v", size, o.passed, o.offered, o.err)
				}
			}
			var c wsframe.Checker // a message behind which others come is held alone
			short := stream(begin, bytes.Repeat(tt.rest, 10), client(fin|cont, ""))
			p = bytes.Repeat(short, 20)
			if o := feed(&c, p, &rules, nil, 1000); o.err != nil || o.passed != len(p) {
				t.Errorf("%d of %d bytes passed, err %v", o.passed, len(p), o.err)
			}
		})
	}

	rules.MaxMessage = 10000 // as much as may be, in as many pieces as may be
	p := stream(begin, bytes.Repeat(client(cont, "123456"), 1666), client(fin|cont, "abc"))
	var c wsframe.Checker
	if o := feed(&c, p, &rules, nil, 1000); o.err != nil || o.passed != len(p) || len(p) < 2*10000-10 {
		t.Errorf("%d of %d bytes passed, err %v", o.passed, len(p), o.err)
	}

	rules.MaxMessage = 0
	for payload, want := range map[string]int{"": 0, "a": 1009} {
		var c wsframe.Checker
		if _, err := c.Check(client(fin|text, payload), &rules, nil); code(t, err) != want {
			t.Errorf("without MaxMessage, %d bytes: err %v", len(payload), err)
		}
	}
}

func TestW5WholeRefusesTheWholeMessage(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  []byte
		code int
	}{
		{"text", stream(client(text, "hello"), client(fin|cont, "\xFF")), 1007},
		{"text that ends early", stream(client(text, "hello\xC3"), client(fin|cont, "")), 1007},
		{"mask", stream(client(text, "hello"), backend(fin|cont, "")), 1002},
		{"size", stream(client(text, "hello"), client(cont, string(make([]byte, 96)))), 1009},
		{"Close frame", stream(client(text, "hello"), client(fin|closing, "\x00\x00")), 1002},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := stream(client(fin|text, "hello"), client(fin|ping, "1"))
			p := stream(before, tt.bad)
			for _, size := range []int{1, 4, 19, len(p)} {
				var c wsframe.Checker
				o := feed(&c, p, &wholeRules, nil, size)
				if code(t, o.err) != tt.code || o.passed != len(before) || o.messages != 1 || !c.AtBoundary() {
					t.Errorf("pieces of %d bytes: %d bytes passed, want %d; %d messages; boundary %v; err %v",
						size, o.passed, len(before), o.messages, c.AtBoundary(), o.err)
				}
			}
		})
	}
}
