package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	tests := []struct {
		name     string
		in       []string
		tally    string // the closing line
		wantErr  bool
		contains []string
		lacks    []string
	}{
		{
			name: "all pass",
			in: []string{
				`{"Action":"start","Package":"a"}`,
				`{"Action":"run","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}`,
				`{"Action":"output","Package":"a","Test":"TestX","Output":"chatter\n"}`,
				`{"Action":"pass","Package":"a","Test":"TestX","Elapsed":0}`,
				`{"Action":"output","Package":"a","Output":"PASS\n"}`,
				`{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}`,
				`{"Action":"pass","Package":"a","Elapsed":0.1}`,
			},
			tally:    "1 passed, 0 failed",
			contains: []string{"ok  \ta\t0.1s\n"},
			lacks:    []string{"chatter", "=== RUN", "PASS"},
		},
		{
			name: "a failed test shows its output",
			in: []string{
				`{"Action":"output","Package":"a","Test":"TestX","Output":"fine\n"}`,
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Test":"TestY","Output":"=== RUN   TestY\n"}`,
				`{"Action":"output","Package":"a","Test":"TestY","Output":"    y_test.go:1: got 1, want 2\n"}`,
				`{"Action":"output","Package":"a","Test":"TestY","Output":"--- FAIL: TestY (0.00s)\n"}`,
				`{"Action":"fail","Package":"a","Test":"TestY"}`,
				`{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}`,
				`{"Action":"fail","Package":"a"}`,
			},
			tally:    "1 passed, 1 failed",
			wantErr:  true,
			contains: []string{"--- FAIL: TestY (0.00s)\n    y_test.go:1: got 1, want 2\n", "FAIL\ta\t0.1s\n"},
			lacks:    []string{"fine", "=== RUN"},
		},
		{
			name: "a package that does not compile",
			in: []string{
				`{"ImportPath":"a","Action":"build-output","Output":"a.go:1:1: syntax error\n"}`,
				`{"ImportPath":"a","Action":"build-fail"}`,
				`{"Action":"start","Package":"a"}`,
				`{"Action":"output","Package":"a","Output":"FAIL\ta [build failed]\n"}`,
				`{"Action":"fail","Package":"a","FailedBuild":"a"}`,
			},
			tally:    "0 passed, 1 failed",
			wantErr:  true,
			contains: []string{"syntax error", "[build failed]"},
		},
		{
			name: "a process that dies after its tests passed",
			in: []string{
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Output":"goleak: 1 goroutine\n"}`,
				`{"Action":"fail","Package":"a"}`,
			},
			tally:    "1 passed, 1 failed",
			wantErr:  true,
			contains: []string{"goleak"},
		},
		{
			name: "input that stops in the middle",
			in: []string{
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Test":"TestY","Output":"started\n"}`,
			},
			tally:    "1 passed, 1 failed",
			wantErr:  true,
			contains: []string{"started", "[output ends here]"},
		},
		{
			name: "a skipped test is shown",
			in: []string{
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Test":"TestY","Output":"    y_test.go:1: no kernel for it\n"}`,
				`{"Action":"skip","Package":"a","Test":"TestY"}`,
				`{"Action":"pass","Package":"a"}`,
			},
			tally:    "1 passed, 0 failed, 1 skipped",
			contains: []string{"no kernel for it"},
		},
		{
			name: "packages that run at once",
			in: []string{
				`{"Action":"start","Package":"a"}`,
				`{"Action":"start","Package":"b"}`,
				`{"Action":"fail","Package":"b","Test":"TestX"}`,
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
				`{"Action":"fail","Package":"b"}`,
				`{"Action":"pass","Package":"a"}`,
			},
			tally:   "1 passed, 1 failed",
			wantErr: true,
		},
		{
			name:     "lines that are not events",
			in:       []string{`go: errors parsing go.mod`, `{"Action":"pass","Package":"a","Test":"TestX"}`, `{"Action":"pass","Package":"a"}`},
			tally:    "1 passed, 0 failed",
			contains: []string{"errors parsing go.mod\n"},
		},
		{
			name: "a package without tests",
			in: []string{
				`{"Action":"output","Package":"a","Output":"?   \ta\t[no test files]\n"}`,
				`{"Action":"skip","Package":"a"}`,
			},
			tally:    "0 passed, 0 failed",
			wantErr:  true,
			contains: []string{"[no test files]"},
		},
		{name: "nothing at all", tally: "0 passed, 0 failed", wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tally")
			var in, out bytes.Buffer
			for _, line := range tt.in {
				in.WriteString(line + "\n")
			}
			err := run([]string{"-o", file}, &in, &out)
			if (err != nil) != tt.wantErr {
				t.Errorf("error %v, want one: %t", err, tt.wantErr)
			}
			if got := out.String(); got != tt.tally+"\n" && !strings.HasSuffix(got, "\n"+tt.tally+"\n") {
				t.Errorf("output %q does not end in the line %q", got, tt.tally)
			}
			saved, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(saved), tt.tally+"\n"; got != want {
				t.Errorf("file has %q, want %q", got, want)
			}
			for _, s := range tt.contains {
				if !strings.Contains(out.String(), s) {
					t.Errorf("output lacks %q:\n%s", s, &out)
				}
			}
			for _, s := range tt.lacks {
				if strings.Contains(out.String(), s) {
					t.Errorf("output has %q:\n%s", s, &out)
				}
			}
		})
	}
}
