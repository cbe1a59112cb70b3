package drain

import "bytes"

// maxLine is above what a key of 250 bytes, each as three, and all numbers take.
const maxLine = 2 << 10

// tail keeps the end of a stream, to find the line that ends it.
type tail struct{ kept []byte }

// add gives the last line if it is whole and not one of a key: the server says nothing after such a line.
func (t *tail) add(p []byte) (line string, final bool) {
	if len(p) >= maxLine {
		t.kept = append(t.kept[:0], p[len(p)-maxLine:]...)
	} else {
		t.kept = append(t.kept, p...)
		if over := len(t.kept) - maxLine; over > 0 {
			t.kept = append(t.kept[:0], t.kept[over:]...)
		}
	}
	text, ended := bytes.CutSuffix(t.kept, []byte{'\n'})
	if !ended {
		return "", false
	}
	text = bytes.TrimSuffix(text[bytes.LastIndexByte(text, '\n')+1:], []byte{'\r'})
	if bytes.HasPrefix(text, []byte("key=")) {
		return "", false
	}
	return string(text), true
}
