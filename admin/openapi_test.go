package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/admin"
	"github.com/portcullis-auth/portcullis/gateway"
)

// A description is what the tests read of the OpenAPI document.
type description struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		Schemas   map[string]json.RawMessage
		Responses map[string]response
	}
}

type operation struct {
	Parameters []struct {
		Name, In string
		Schema   json.RawMessage
	}
	RequestBody struct{ Content content }
	Responses   map[string]response
}

type response struct {
	Ref     string `json:"$ref"`
	Content content
}

type content map[string]struct{ Schema json.RawMessage }

func describe(t *testing.T, h http.Handler) *description {
	t.Helper()
	status, body := call(t, h, "GET", "/v1/openapi.json", "")
	d := new(description)
	if err := json.Unmarshal([]byte(body), d); status != 200 || err != nil || !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Fatalf("%d, version %q, %v", status, d.OpenAPI, err)
	}
	return d
}

// validate validates JSON against a schema that stands in the description.
func (d *description) validate(schema json.RawMessage, text string) error {
	whole, err := json.Marshal(map[string]any{"$defs": d.Components.Schemas, "allOf": []json.RawMessage{schema}})
	if err != nil {
		return err
	}
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(whole), "#/components/schemas/", "#/$defs/")), &s); err != nil {
		return err
	}
	r, err := s.Resolve(nil)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return r.Validate(v)
}

// answerOf returns what the description says of an answer, by its media type.
func (d *description) answerOf(op operation, status string) content {
	r := op.Responses[status]
	if r.Ref != "" {
		r = d.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
	}
	return r.Content
}

func verifiers() any { return []gateway.VerifierInfo{{Name: "staff"}} }

// A brokenStore stores nothing.
type brokenStore struct{}

func (brokenStore) Add(context.Context, portcullis.Revocation) error { return errors.New("disk full") }

func (brokenStore) Follow(context.Context, func(portcullis.Revocation), func()) error {
	return errors.New("disk full")
}

// What there is and what is described are the same.
func TestDescriptionIsWhole(t *testing.T) {
	c := admin.Config{Guard: newGuard(), Verifiers: verifiers}
	d := describe(t, admin.New(c))
	var described, filters []string
	for path, methods := range d.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	got := admin.Endpoints(c)
	slices.Sort(got)
	slices.Sort(described)
	if diff := cmp.Diff(described, got); diff != "" {
		t.Errorf("endpoints (-described +there):\n%s", diff)
	}
	for _, p := range d.Paths["/v1/sessions"]["get"].Parameters {
		if p.Name != "limit" && p.Name != "after" {
			filters = append(filters, p.Name)
		}
	}
	slices.Sort(filters)
	if diff := cmp.Diff(filters, admin.Filters()); diff != "" {
		t.Errorf("filters (-described +there):\n%s", diff)
	}
	for name, v := range map[string]any{"Session": portcullis.SessionInfo{}, "Verifier": gateway.VerifierInfo{}} {
		var s struct{ Properties map[string]json.RawMessage }
		if err := json.Unmarshal(d.Components.Schemas[name], &s); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(slices.Values(members(reflect.TypeOf(v))))); diff != "" {
			t.Errorf("%s (-described +there):\n%s", name, diff)
		}
	}
}

// members returns the names of a struct's fields in JSON.
func members(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, members(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// Every answer that is described is given, and is as described.
func TestAnswersAreAsDescribed(t *testing.T) {
	g := newGuard()
	open := admin.New(admin.Config{Guard: g, Verifiers: verifiers})
	locked := admin.New(admin.Config{Guard: g, Verifiers: verifiers, Key: "the-key-of-the-house"})
	full := newGuard()
	full.Store = brokenStore{}
	broken := admin.New(admin.Config{Guard: full})
	d := describe(t, open)
	s, other := admit(t, g, "alice"), admit(t, g, "bob")
	admit(t, g, "carol")

	type request struct {
		h                http.Handler
		op, target, body string // op: "GET /v1/sessions"; target "": its path
		want             int
	}
	requests := []request{
		{open, "GET /v1/sessions", "", "", 200},
		{open, "GET /v1/sessions", "/v1/sessions?limit=1", "", 200},
		{open, "GET /v1/sessions", "/v1/sessions?sub=nobody", "", 200},
		{open, "GET /v1/sessions", "/v1/sessions?x=y", "", 400},
		{open, "GET /v1/sessions/{handle}", "/v1/sessions/" + s.Handle(), "", 200},
		{open, "GET /v1/sessions/{handle}", "/v1/sessions/x", "", 404},
		{open, "GET /v1/sessions/{handle}", "/v1/sessions/" + s.Handle() + "?x", "", 400},
		{open, "GET /v1/verifiers", "", "", 200},
		{open, "GET /v1/verifiers", "/v1/verifiers?x", "", 400},
		{open, "GET /v1/openapi.json", "", "", 200},
		{open, "GET /v1/openapi.json", "/v1/openapi.json?x", "", 400},
		{open, "POST /v1/revocations", "", `{"sub":"u-carol"}`, 200},
		{open, "POST /v1/revocations", "", `{"session":"` + other.Handle() + `"}`, 200},
		{open, "POST /v1/revocations", "", `{"session":"` + other.Handle() + `"}`, 404},
		{open, "POST /v1/revocations", "", `{}`, 400},
		{open, "POST /v1/revocations", "/v1/revocations?sub=u-carol", `{"sub":"u-carol"}`, 400},
		{open, "POST /v1/revocations", "", `{"sub":"` + strings.Repeat("x", 65<<10) + `"}`, 413},
		{broken, "POST /v1/revocations", "", `{"sub":"u-carol"}`, 503},
		{open, "GET /livez", "", "", 200},
		{open, "GET /readyz", "", "", 200},
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.Responses["401"].Ref != "" {
				requests = append(requests, request{locked, strings.ToUpper(method) + " " + path, "", "", 401})
			}
		}
	}
	seen := make(map[string]bool)
	try := func(q request, headers ...string) {
		method, path, _ := strings.Cut(q.op, " ")
		target := q.target
		if target == "" {
			target = path
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost:8081"+target, strings.NewReader(q.body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		q.h.ServeHTTP(w, r)
		status := fmt.Sprint(w.Code)
		if w.Code != q.want {
			t.Errorf("%s %s: %d %s, want %d", q.op, target, w.Code, w.Body, q.want)
		}
		kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
		described, ok := d.answerOf(d.Paths[path][strings.ToLower(method)], status)[kind]
		if !ok {
			t.Errorf("%s: %s of type %q isn't described", q.op, status, kind)
			return
		}
		body := w.Body.String()
		if kind == "text/plain" {
			body = fmt.Sprintf("%q", body)
		}
		if err := d.validate(described.Schema, body); err != nil {
			t.Errorf("%s: %s\n%s: %v", q.op, status, body, err)
		}
		seen[q.op+" "+status] = true
	}
	for _, q := range requests {
		try(q)
		if q.want == 401 {
			q.want = 403
			try(q, "Origin", "https://evil.example.com")
		}
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			for status := range op.Responses {
				if what := strings.ToUpper(method) + " " + path + " " + status; !seen[what] {
					t.Errorf("%s: described, but not tried", what)
				}
			}
		}
	}
}

// What the description takes for a revocation is what the API takes.
func TestBodiesAreAsDescribed(t *testing.T) {
	h := admin.New(admin.Config{Guard: newGuard()})
	d := describe(t, h)
	schema := d.Paths["/v1/revocations"]["post"].RequestBody.Content["application/json"].Schema
	for body, want := range map[string]bool{
		`{"sub":"u"}`: true,
		`{"iss":"i","sub":"u","sid":"s","jti":"j","client_id":"c","issued_before":"2026-01-01T00:00:00Z","until":"9000-01-01T00:00:00Z"}`: true,
		`{"session":"x-1"}`:                true,
		`{}`:                               false,
		`[]`:                               false,
		`{"sub":""}`:                       false,
		`{"sub":null}`:                     false,
		`{"sub":1}`:                        false,
		`{"Sub":"u"}`:                      false,
		`{"until":"9000-01-01T00:00:00Z"}`: false,
		`{"session":""}`:                   false,
		`{"session":1}`:                    false,
		`{"session":"x-1","sub":"u"}`:      false,
		`{"session":"x-1","until":"9000-01-01T00:00:00Z"}`:     false,
		`{"sub":"u","session":"","iss":"i"}`:                   false,
		`{"issued_before":"2026-01-01T00:00:00Z","sid":[]}`:    false,
		`{"issued_before":"2026-01-01T00:00:00Z","sub":"u-1"}`: true,
	} {
		if err := d.validate(schema, body); (err == nil) != want {
			t.Errorf("%s: the description says %v, want good %v", body, err, want)
		}
		if status, answer := call(t, h, "POST", "/v1/revocations", body); (status != 400) != want {
			t.Errorf("%s: %d %s, want good %v", body, status, answer, want)
		}
	}
}
