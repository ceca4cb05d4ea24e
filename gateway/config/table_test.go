package config_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/gateway/config"
)

func table(targets ...string) *config.Table {
	var list []config.Route
	for _, target := range targets {
		host, path, _ := strings.Cut(target, "/")
		list = append(list, config.Route{Host: host, Path: "/" + path})
	}
	return config.NewTable(list)
}

func TestFind(t *testing.T) {
	for _, test := range []struct {
		routes string // host/path, separated by spaces
		asked  string // host and path
		want   string // "": none
	}{
		{"/", "h /", "/"},
		{"/", "h /a/b", "/"},
		{"/", " /a", "/"},
		{"/", "h *", ""},
		{"/", "h ", ""},
		{"/", "h a", ""},
		// A final slash: below it.
		{"/wsapi/", "h /wsapi/", "/wsapi/"},
		{"/wsapi/", "h /wsapi/x", "/wsapi/"},
		{"/wsapi/", "h /wsapi", ""},
		{"/wsapi/", "h /wsapix", ""},
		{"/wsapi/", "h /x/wsapi/", ""},
		// None: the very path, or below it at a segment's end.
		{"/chat", "h /chat", "/chat"},
		{"/chat", "h /chat/", "/chat"},
		{"/chat", "h /chat/x", "/chat"},
		{"/chat", "h /chatty", ""},
		{"/chat", "h /Chat", ""},
		{"/chat", "h /cha", ""},
		{"/chat /chat/", "h /chat", "/chat"},
		{"/chat /chat/", "h /chat/", "/chat/"},
		{"/chat /chat/", "h /chat/x", "/chat/"},
		// The longest wins, in whatever order.
		{"/ /a/ /a/b /a/b/c/", "h /a/b/c/d", "/a/b/c/"},
		{"/a/b/c/ /a/b /a/ /", "h /a/b/c", "/a/b"},
		{"/a/b/c/ /a/b /a/ /", "h /a/bc", "/a/"},
		{"/a/b/c/ /a/b /a/ /", "h /b", "/"},
		{"/a/ /a/b/", "h /a/x/b/", "/a/"},
		{"/ü/", "h /ü/x", "/ü/"},
		// The gateway's own.
		{"/", "h /.portcullis", ""},
		{"/", "h /.portcullis/renew", ""},
		{"/", "h /.portcullisx", "/"},
		// The most specific host wins.
		{"/ a.example.com/", "a.example.com /x", "a.example.com/"},
		{"/ a.example.com/", "b.example.com /x", "/"},
		{"a.example.com/", "b.example.com /x", ""},
		{"*.example.com/ a.example.com/", "a.example.com /x", "a.example.com/"},
		{"*.example.com/ a.example.com/", "b.example.com /x", "*.example.com/"},
		{"*.example.com/", "a.b.example.com /x", "*.example.com/"},
		{"*.example.com/ *.b.example.com/", "a.b.example.com /x", "*.b.example.com/"},
		{"*.example.com/", "example.com /x", ""},
		{"*.example.com/", ".example.com /x", ""},
		{"*.example.com/", "badexample.com /x", ""},
		{"*.example.com/", "a.example.com.evil.org /x", ""},
		// Where it has no route for the path, the next best.
		{"/ a.example.com/admin/", "a.example.com /x", "/"},
		{"/ *.example.com/x/ a.example.com/admin/", "a.example.com /x/", "*.example.com/x/"},
		{"/ *.b.example.com/y *.example.com/x", "a.b.example.com /x", "*.example.com/x"},
		{"/long/path/ a.example.com/", "a.example.com /long/path/x", "a.example.com/"},
		// Spellings of a host.
		{"a.example.com/", "A.EXAMPLE.com /x", "a.example.com/"},
		{"A.Example.com/", "a.example.com /x", "A.Example.com/"},
		{"a.example.com/", "a.example.com:8080 /x", "a.example.com/"},
		{"a.example.com/", "a.example.com. /x", "a.example.com/"},
		{"a.example.com/", "a.example.com.:443 /x", "a.example.com/"},
		{"a.example.com/", "a.example.com.. /x", ""},
		{"*.example.com/", "A.example.com.:443 /x", "*.example.com/"},
		{"127.0.0.1/", "127.0.0.1:80 /x", "127.0.0.1/"},
		{"[::1]/", "[::1]:80 /x", "[::1]/"},
		{"[::1]/", "[::1] /x", "[::1]/"},
		{"/", strings.Repeat("a.", 4000) + "com /x", "/"},
		{"a.example.com/", strings.Repeat("a", 300) + " /x", ""},
	} {
		t.Run(fmt.Sprintf("%s asked %.40s", test.routes, test.asked), func(t *testing.T) {
			host, path, _ := strings.Cut(test.asked, " ")
			r, ok := table(strings.Fields(test.routes)...).Find(host, path)
			got := ""
			if ok {
				got = r.Host + r.Path
			}
			if got != test.want || ok != (r != nil) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Find agrees with what the reference says, put into the simplest code.
func TestFindModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	for range 3000 {
		var routes []config.Route
		seen := map[string]bool{}
		for range 1 + rnd.IntN(8) {
			r := config.Route{Host: pick("", "", "*.e.com", "*.b.e.com", "a.e.com", "e.com")}
			for range rnd.IntN(4) {
				r.Path += "/" + pick("a", "b", "ab")
			}
			if r.Path == "" || rnd.IntN(2) == 0 {
				r.Path += "/"
			}
			if !seen[r.Host+r.Path] {
				seen[r.Host+r.Path] = true
				routes = append(routes, r)
			}
		}
		table := config.NewTable(routes)
		for range 20 {
			host := pick("e.com", "a.e.com", "b.e.com", "a.b.e.com", "x")
			path := "/"
			for range rnd.IntN(5) {
				path += pick("a", "b", "ab", "a/", "b/", "/")
			}
			want := model(routes, host, path)
			got, _ := table.Find(host, path)
			if got != want {
				t.Fatalf("%+v: Find(%q, %q) = %+v, want %+v", routes, host, path, got, want)
			}
		}
	}
}

func model(routes []config.Route, host, path string) *config.Route {
	var best *config.Route
	for i := range routes {
		r := &routes[i]
		hostFits := r.Host == "" || r.Host == host || strings.HasPrefix(r.Host, "*") && strings.HasSuffix(host, r.Host[1:])
		pathFits := strings.HasPrefix(path, r.Path) && (strings.HasSuffix(r.Path, "/") || path == r.Path || path[len(r.Path)] == '/')
		if !hostFits || !pathFits {
			continue
		}
		if best == nil || rank(r.Host) > rank(best.Host) || r.Host == best.Host && len(r.Path) > len(best.Path) {
			best = r
		}
	}
	return best
}

func rank(host string) int {
	if host != "" && !strings.HasPrefix(host, "*") {
		return 1000
	}
	return len(host)
}

func TestFindAllocates(t *testing.T) {
	tab := table("/", "/wsapi/", "*.example.com/", "a.example.com/x")
	if n := testing.AllocsPerRun(100, func() { tab.Find("B.Example.com:8080", "/wsapi/room/7") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFind(b *testing.B) {
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("h%d.example.com/api/v%d/", i%50, i))
	}
	long := "/" + strings.Repeat("a/", 4000)
	for _, bench := range []struct {
		name       string
		routes     []string
		host, path string
	}{
		{"two", []string{"/", "/wsapi/"}, "app.example.com", "/wsapi/room"},
		{"hosts", []string{"/", "app.example.com/wsapi/", "*.example.com/"}, "App.Example.com:443", "/wsapi/room"},
		{"thousand", append(many, "/"), "h7.example.com", "/api/v957/users/17"},
		{"hostile", append(many, "/"), strings.Repeat("a.", 120) + "com", long},
	} {
		b.Run(bench.name, func(b *testing.B) {
			tab := table(bench.routes...)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := tab.Find(bench.host, bench.path); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}
