package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// wipe empties a terminal's line and goes to its start.
const wipe = "\r\x1b[K"

// defaultWidth is that of a terminal which does not tell.
const defaultWidth = 80

// A Line is one line of the JSON form.
type Line struct {
	Progress Report `json:"progress"`
}

// A Report is a State with what follows from it.
type Report struct {
	Stage   string  `json:"stage"`
	Entries int64   `json:"entries"`
	Bytes   int64   `json:"bytes"`
	Total   int64   `json:"total,omitempty"` // bytes
	Stored  int64   `json:"stored"`          // bytes moved to or from the store
	Rate    int64   `json:"rate"`            // bytes a second, of the last ten seconds
	Elapsed float64 `json:"elapsed_seconds"`
	Left    float64 `json:"left_seconds,omitempty"` // guessed; absent: not known
}

// show reads the state and tells it.
func (r *Reporter) show() {
	rep := r.meter.report(r.o.Now(), r.o.Read())
	switch r.o.Form {
	case Terminal:
		width := defaultWidth
		if r.o.Width != nil {
			if w := r.o.Width(); w > 0 {
				width = w
			}
		}
		_, _ = io.WriteString(r.o.Out, wipe+clip(text(rep), width-1))
	case JSON:
		if line, err := json.Marshal(Line{rep}); err == nil {
			_, _ = r.o.Out.Write(append(line, '\n'))
		}
	default:
		r.o.Log.Info(rep.Stage, "entries", rep.Entries, "bytes", rep.Bytes, "total", rep.Total, "stored", rep.Stored,
			"rate", Bytes(rep.Rate)+"/s", "elapsed", short(seconds(rep.Elapsed)), "left", left(rep))
	}
}

// text is a report for people.
func text(r Report) string {
	parts := []string{r.Stage}
	if r.Total > 0 {
		parts[0] += fmt.Sprintf(" %d%%", min(100, 100*r.Bytes/max(r.Total, 1)))
		parts = append(parts, Bytes(r.Bytes)+" of "+Bytes(r.Total))
	} else {
		parts = append(parts, Bytes(r.Bytes))
	}
	parts = append(parts, fmt.Sprintf("%d entries", r.Entries), Bytes(r.Rate)+"/s", short(seconds(r.Elapsed)))
	if l := left(r); l != "" {
		parts = append(parts, l+" left")
	}
	return strings.Join(parts, ", ")
}

func left(r Report) string {
	if r.Left <= 0 {
		return ""
	}
	return short(seconds(r.Left))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// clip cuts what would wrap into a second line, which no rewriting reaches.
func clip(s string, width int) string {
	if len(s) > width {
		return s[:max(0, width)]
	}
	return s
}
