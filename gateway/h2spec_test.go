package gateway_test

import (
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allowed are the cases that net/http fails, and why that does no harm.
var allowed = map[string]string{
	`http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE`:                                          "net/http ends connections with such a SETTINGS frame, on purpose",
	`http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field`:                     "answered 400, and no handler sees it; RFC 9113, section 8.1.1 allows an answer",
	`http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: "answered 400, as above",
}

// The gateway's HTTP/2, by h2spec: only cases that are allowed may fail, and they
// must.
func TestH2Spec(t *testing.T) {
	reading := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as h2spec wants it: to the end, then something
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	}))
	_, at, _ := secured(t, "", "routes: [{path: /, backend: '"+reading+"', public: true}]\n")
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(t.TempDir(), "h2spec")
	if out, err := exec.Command("go", "build", "-C", "../tools", "-o", tool, "github.com/summerwind/h2spec/cmd/h2spec").CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "report.xml")
	cmd := exec.Command(tool, "-t", "-k", "-h", host, "-p", port, "--strict", "-j", file)
	out, ran := cmd.CombinedOutput() // an error is for cases that failed, too
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v, %v:\n%s", ran, err, out)
	}
	var report struct {
		Cases []struct {
			Section string    `xml:"package,attr"`
			Name    string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	failed := make(map[string]string)
	for _, c := range report.Cases {
		if name := c.Section + ": " + c.Name; c.Failure != nil || c.Error != nil {
			failed[name] = allowed[name]
		}
	}
	const least = 140 // there are 146
	if diff := cmp.Diff(allowed, failed); diff != "" || len(report.Cases) < least {
		t.Errorf("of %d cases those failed (-may fail +does fail):\n%s\n%s", len(report.Cases), diff, out)
	}
}
