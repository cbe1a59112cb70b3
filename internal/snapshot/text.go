package snapshot

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// text is a string of any bytes in JSON: a string where it is UTF-8, else {"b64":"..."}.
type text string

type textB64 struct {
	B64 *[]byte `json:"b64"`
}

// UnmarshalJSON reads both forms.
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var coded textB64
	if err := json.Unmarshal(b, &coded); err != nil {
		return err
	}
	if coded.B64 == nil {
		return damaged("text %.40q: expected a string or {\"b64\":...}", b)
	}
	*t = text(*coded.B64)
	return nil
}

const hexDigits = "0123456789abcdef"

// appendText writes s in its JSON form.
func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		b = append(b, `{"b64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, `"}`...)
	}
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func appendB64(b, data []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, '"')
}

// appendSums writes hashes end to end, as one piece of base64.
func appendSums(b []byte, sums []Sum) []byte {
	var few [8 * len(Sum{})]byte
	joined := few[:0]
	for _, s := range sums {
		joined = append(joined, s[:]...)
	}
	return base64.StdEncoding.AppendEncode(b, joined)
}
