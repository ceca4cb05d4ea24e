package admin

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis-auth/portcullis"
)

// How many sessions a list holds at most.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// filters are the parameters that narrow a list, and what they match.
var filters = map[string]func(s *portcullis.SessionInfo, want string) bool{
	"iss":       func(s *portcullis.SessionInfo, want string) bool { return s.Issuer == want },
	"sub":       func(s *portcullis.SessionInfo, want string) bool { return s.Subject == want },
	"sid":       func(s *portcullis.SessionInfo, want string) bool { return s.SessionID == want },
	"jti":       func(s *portcullis.SessionInfo, want string) bool { return s.TokenID == want },
	"client_id": func(s *portcullis.SessionInfo, want string) bool { return s.ClientID == want },
	"verifier":  func(s *portcullis.SessionInfo, want string) bool { return s.Verifier == want },
	"kind":      func(s *portcullis.SessionInfo, want string) bool { return s.Kind == want },
	"host":      func(s *portcullis.SessionInfo, want string) bool { return strings.EqualFold(s.Host, want) },
	"path":      func(s *portcullis.SessionInfo, want string) bool { return strings.HasPrefix(s.Path, want) },
}

// A selection is which sessions a list is to hold.
type selection struct {
	want  map[string]string // by the name of the filter
	after string            // the handle of the last one that was listed; "": from the beginning
	limit int
}

// sessions answers with a list of live sessions.
func (a *api) sessions(w http.ResponseWriter, r *http.Request) {
	sel, err := a.parseSelection(r.URL.RawQuery)
	if err != nil {
		problem(w, http.StatusBadRequest, "parameters", err.Error())
		return
	}
	list := []portcullis.SessionInfo{} // not null in JSON
	for s := range a.Guard.Sessions() {
		if sel.has(&s) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b portcullis.SessionInfo) int { return byAdmission(a.Handle, b.Handle) })
	answered := map[string]any{"sessions": list}
	if len(list) > sel.limit {
		list = list[:sel.limit]
		answered["sessions"] = list
		answered["next"] = a.cursor(list[len(list)-1].Handle)
	}
	answer(w, answered)
}

// has reports whether s is selected.
func (sel *selection) has(s *portcullis.SessionInfo) bool {
	if sel.after != "" && byAdmission(s.Handle, sel.after) <= 0 {
		return false
	}
	for name, want := range sel.want {
		if !filters[name](s, want) {
			return false
		}
	}
	return true
}

// byAdmission orders handles. They end in a number that counts admissions, so
// the shorter one is the older one. A handle never changes: that is what keeps
// lists together whose parts are asked for one after the other.
func byAdmission(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// parseSelection reads the parameters of a list.
func (a *api) parseSelection(query string) (selection, error) {
	sel := selection{want: make(map[string]string), limit: defaultLimit}
	values, err := url.ParseQuery(query)
	if err != nil {
		return sel, errors.New("the parameters are not well-formed")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name][0]
		switch _, known := filters[name]; {
		case !known && name != "limit" && name != "after":
			return sel, fmt.Errorf("unknown parameter %q", name)
		case len(values[name]) > 1:
			return sel, fmt.Errorf("%s is given twice", name)
		case value == "": // of a script whose variable is empty: that would be everybody
			return sel, fmt.Errorf("%s is empty", name)
		case name == "kind" && value != "http" && value != "socket":
			return sel, errors.New("kind is http or socket")
		case name == "path" && value[0] != '/':
			return sel, errors.New("path begins with /")
		case name == "limit":
			sel.limit, err = strconv.Atoi(value)
			if err != nil || sel.limit < 1 || sel.limit > maxLimit {
				return sel, fmt.Errorf("limit is a number from 1 to %d", maxLimit)
			}
		case name == "after":
			if sel.after = a.handle(value); sel.after == "" {
				return sel, errors.New("after is not what next of a list of this process said; begin again without it")
			}
		default:
			sel.want[name] = value
		}
	}
	return sel, nil
}

// cursor returns what continues a list behind the session of that handle.
func (a *api) cursor(handle string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(a.lists + handle))
}

// handle returns what a cursor of this api was made of, and "" for others: the
// handles of another process begin anew, and a list of both would have holes.
func (a *api) handle(cursor string) string {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	handle, ok := strings.CutPrefix(string(raw), a.lists)
	if err != nil || !ok {
		return ""
	}
	return handle
}
