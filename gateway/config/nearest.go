package config

import (
	"strings"
	"unicode"
)

// elsewhere says of some keys that are often tried what there is instead.
var elsewhere = map[string]string{
	"client_secret": "a secret doesn't belong in this file; use client_secret_file or client_secret_env",
	"key":           "a secret doesn't belong in this file; use key_file or key_env",
	"<<":            "merge keys are not supported; write the keys out",
}

// instead says what to do about a key that isn't one of known.
func instead(name string, known []string) string {
	if fix, ok := elsewhere[name]; ok {
		return fix
	}
	best, distance := "", 1+max(1, len(name)/3)
	for _, k := range known {
		if n := edits(strings.ToLower(name), k, distance); n < distance {
			best, distance = k, n
		}
	}
	if best != "" {
		return "did you mean \"" + best + "\"?"
	}
	return "the keys here are " + strings.Join(known, ", ")
}

// edits returns how many letters must be added, removed, changed or swapped
// with their neighbour to make b of a, or limit if it is that or more.
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return min(rows[len(a)][len(b)], limit)
}

// clip makes what stands in the file fit to be shown: one short line.
func clip(s string) string {
	const most = 80
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
