//go:build bench

package cache

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A picture is lines over seconds, as SVG.
type picture struct {
	title    string
	lines    []series
	mark     int // a second to mark
	markText string
	caption  []string
}

type series struct {
	name   string
	values []float64 // by second
}

const (
	wide, high = 900, 460 // of all
	left, top  = 70, 50   // of the plot
	plotWide   = wide - left - 20
	plotHigh   = 290
)

// colours can be told apart by most eyes, on white as on black.
func colours() []string { return []string{"#7f7f7f", "#d1495b", "#2e86ab"} }

func (p *picture) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n", wide, high)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", html.EscapeString(p.title), wide, high)
	text(&b, left, 28, "start", 16, p.title)
	most := 1.0
	for _, s := range p.lines {
		most = max(most, slices.Max(s.values))
	}
	step := niceStep(most)
	most = math.Ceil(most/step) * step
	p.axes(&b, most, step)
	for n, s := range p.lines {
		p.line(&b, s, colours()[n%len(colours())], most, n)
	}
	for n, c := range p.caption {
		text(&b, left, top+plotHigh+58+17*n, "start", 12, c)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// niceStep is 1, 2 or 5 times a power of ten: about five of them make the axis.
func niceStep(most float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, times := range []float64{1, 2, 5, 10} {
		if most/(step*times) <= 6 {
			return max(step*times, 1)
		}
	}
	return max(step*10, 1)
}

func (p *picture) seconds() int { return len(p.lines[0].values) }
func (p *picture) x(second float64) float64 {
	return left + plotWide*second/float64(max(p.seconds()-1, 1))
}
func y(value, most float64) float64 { return top + plotHigh*(1-value/most) }

func (p *picture) axes(b *strings.Builder, most, step float64) {
	for v := 0.0; v <= most; v += step {
		fmt.Fprintf(b, "<path d=\"M%d %.1fH%d\" stroke=\"#dddddd\"/>\n", left, y(v, most), left+plotWide)
		text(b, left-8, int(y(v, most))+4, "end", 12, fmt.Sprintf("%.0f", v))
	}
	for s := 0; s < p.seconds(); s += 10 {
		text(b, int(p.x(float64(s))), top+plotHigh+18, "middle", 12, fmt.Sprintf("%d s", s))
	}
	at := p.x(float64(p.mark))
	fmt.Fprintf(b, "<path d=\"M%.1f %dV%d\" stroke=\"#333333\" stroke-dasharray=\"4 4\"/>\n", at, top, top+plotHigh)
	text(b, int(at)-6, top+12, "end", 12, p.markText)
}

// line draws one, with its entry in the legend.
func (p *picture) line(b *strings.Builder, s series, colour string, most float64, n int) {
	b.WriteString("<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" + colour + "\" points=\"")
	for second, v := range s.values {
		fmt.Fprintf(b, "%.1f,%.1f ", p.x(float64(second)), y(v, most))
	}
	b.WriteString("\"/>\n")
	at := top + 30 + 20*n
	fmt.Fprintf(b, "<path d=\"M%d %dh26\" stroke=\"%s\" stroke-width=\"3\"/>\n", left+plotWide/2, at-4, colour)
	text(b, left+plotWide/2+34, at, "start", 13, s.name)
}

func text(b *strings.Builder, x, y int, anchor string, size int, s string) {
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" font-size=\"%d\" fill=\"#222222\">%s</text>\n", x, y, anchor, size, html.EscapeString(s))
}
