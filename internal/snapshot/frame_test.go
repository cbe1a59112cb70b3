package snapshot

import (
	"bytes"
	"crypto/rand"
	"strconv"
	"testing"
)

// TestFrameOfText: bytes without repetitions, but of few values, are compressed all the same.
func TestFrameOfText(t *testing.T) {
	var lines []byte
	for n := 1; len(lines) < maxFrame/2; n++ {
		lines = append(strconv.AppendInt(lines, int64(n), 10), '\n')
	}
	digits := make([]byte, maxFrame/2)
	rand.Read(digits)
	for i, b := range digits {
		digits[i] = "0123456789abcdef"[b&15]
	}
	enc, err := newEncoder(1)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	for name, text := range map[string][]byte{"lines of numbers": lines, "random hexadecimal digits": digits} {
		frame := encodeFrame(enc, text, nil)
		if len(frame) > len(text)*11/20 {
			t.Errorf("%s: %d bytes became %d: expected about half of them", name, len(text), len(frame))
		}
		dec, err := newDecoder(1)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeFrame(dec, frame, int64(len(text)), nil)
		if err != nil || !bytes.Equal(back, text) {
			t.Errorf("%s: not the same again (%v)", name, err)
		}
		dec.Close()
	}
}
