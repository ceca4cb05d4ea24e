package listen_test

import (
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/gateway/listen"
)

// allowed are the cases that net/http fails, and why that does no harm.
var allowed = map[string]string{
	`http2/4.2: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE`:                        "it doesn't: 20 KB are sent, and net/http has announced 1 MiB",
	`http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE`:                                          "net/http ends connections with such a SETTINGS frame, on purpose",
	`http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field`:                     "answered 400, and no handler sees it; RFC 9113, section 8.1.1 allows an answer",
	`http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: "answered 400, as above",
}

// checkH2Spec runs h2spec against a listener that speaks TLS. Only cases that are
// allowed may fail, and they must.
func checkH2Spec(t *testing.T, at net.Addr) {
	t.Helper()
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.xml")
	cmd := exec.Command(tool(t, "github.com/summerwind/h2spec/cmd/h2spec"), "-t", "-k", "-h", host, "-p", port, "--strict", "-j", file)
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

func TestH2Spec(t *testing.T) {
	t.Parallel()
	l := open(t, listen.Options{Certificates: []listen.Certificate{newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir())}})
	serve(t, l)
	checkH2Spec(t, l.Addr())
}
