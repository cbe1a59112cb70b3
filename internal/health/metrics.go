package health

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Metric is one family in the Prometheus text format.
type Metric struct {
	Name    string
	Help    string
	Type    string // gauge, counter, histogram
	Samples []Sample
}

// A Sample is one line: a suffix of the name (histograms), labels as key, value, key, value, and a value.
type Sample struct {
	Suffix string
	Labels []string
	Value  float64
}

// Gauge is a family of one sample.
func Gauge(name, help string, v float64) Metric {
	return Metric{Name: name, Help: help, Type: "gauge", Samples: []Sample{{Value: v}}}
}

// buckets of heartbeat durations, in seconds.
var buckets = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// Histogram makes a family from counted durations.
func Histogram(name, help string, h HistogramCounts) Metric {
	m := Metric{Name: name, Help: help, Type: "histogram"}
	for i, le := range buckets {
		m.Samples = append(m.Samples, Sample{"_bucket", []string{"le", number(le)}, float64(h.Below[i])})
	}
	m.Samples = append(m.Samples,
		Sample{"_bucket", []string{"le", "+Inf"}, float64(h.Count)},
		Sample{"_sum", nil, h.Sum.Seconds()}, Sample{"_count", nil, float64(h.Count)})
	return m
}

// HistogramCounts are cumulative counts over the fixed buckets.
type HistogramCounts struct {
	Below [len(buckets)]uint64
	Count uint64
	Sum   time.Duration
}

// Add counts one duration.
func (h *HistogramCounts) Add(d time.Duration) {
	for i, le := range buckets {
		if d.Seconds() <= le {
			h.Below[i]++
		}
	}
	h.Count++
	h.Sum += d
}

func writeMetrics(w io.Writer, ms []Metric) {
	for _, m := range ms {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.Name, m.Help, m.Name, m.Type)
		for _, s := range m.Samples {
			fmt.Fprintf(w, "%s%s%s %s\n", m.Name, s.Suffix, labels(s.Labels), number(s.Value))
		}
	}
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func labels(kv []string) string {
	if len(kv) == 0 {
		return ""
	}
	var parts []string
	for i := 0; i+1 < len(kv); i += 2 {
		parts = append(parts, kv[i]+`="`+escaper.Replace(kv[i+1])+`"`)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
