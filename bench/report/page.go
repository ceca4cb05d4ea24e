package report

import (
	"bytes"
	_ "embed"
	"net/url"
	"slices"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"cells": cells, "link": link, "number": number, "rounds": rounds, "spread": spread, "text": text, "title": title,
	"better": Measure.better, "of": Measure.of,
}).Parse(pageText))

// page returns the whole report.
func page(r Results) ([]byte, error) {
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, r)
	return out.Bytes(), err
}

// text escapes what would mean something within a line of Markdown or HTML.
func text(s string) string {
	return escapes.Replace(strings.Join(strings.Fields(s), " "))
}

var escapes = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "~", `\~`,
	"$", `\$`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;")

// title returns what a target is called in tables.
func title(t Target, version string) string {
	name := text(t.Name + " " + version)
	if t.Limit {
		name += " (*limit*)"
	}
	return name
}

// link returns the address of a configuration, from the page.
func link(config string) string {
	return (&url.URL{Path: "../../bench/" + config}).EscapedPath()
}

// cells returns what a table says about a measure: one cell for each target, the
// best of those that authorize in bold.
func cells(m Measure, targets []Target) []string {
	var row []string
	var medians []float64 // of those that authorize
	for _, t := range targets {
		v := m.of(t.ID)
		if v.Missing != "" {
			row = append(row, "–")
			continue
		}
		row = append(row, number(v.Median))
		if !t.Limit {
			medians = append(medians, v.Median)
		}
	}
	if len(medians) == 0 {
		return row
	}
	best := slices.Max(medians)
	if m.LowerIsBetter {
		best = slices.Min(medians)
	}
	for i, t := range targets {
		if !t.Limit && row[i] == number(best) { // or no more than its digits show
			row[i] = "**" + row[i] + "**"
		}
	}
	return row
}

// rounds lists them in the order they were measured.
func rounds(v Value) string {
	var list []string
	for _, f := range v.Rounds {
		list = append(list, number(f))
	}
	return strings.Join(list, " · ")
}

// spread is the distance between the least and the greatest round, in percent of
// the median.
func spread(v Value) string {
	if len(v.Rounds) < 2 || v.Median <= 0 {
		return "–"
	}
	return fixed(100*(slices.Max(v.Rounds)-slices.Min(v.Rounds))/v.Median, 0) + " %"
}
