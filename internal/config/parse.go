package config

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// setScalar sets what target points to from its text, or says what was expected.
func setScalar(target any, text string) (expected string) {
	if strings.ContainsRune(text, 0) {
		return "text without NUL bytes"
	}
	switch v := target.(type) {
	case *string:
		*v = text
	case *time.Duration:
		return setDuration(v, text)
	case *int:
		return setInt(v, text)
	case *bool:
		return setBool(v, text)
	case *[]string:
		return setArray(v, text)
	}
	return ""
}

func setDuration(target *time.Duration, text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return "a duration with its unit, such as 20s, 250ms, 5m or 2h"
	}
	if d > maxDuration || d < -maxDuration {
		return "a duration of at most " + durationText(maxDuration)
	}
	*target = d
	return ""
}

func setInt(target *int, text string) string {
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text || n > math.MaxInt32 {
		return "a whole decimal number"
	}
	*target = n
	return ""
}

func setBool(target *bool, text string) string {
	if text != "true" && text != "false" {
		return "true or false"
	}
	*target = text == "true"
	return ""
}

// setArray reads a JSON array of strings: flags and variables have no other form for a list of arguments
// in which spaces, commas and quotes are certain to survive.
func setArray(target *[]string, text string) string {
	const expected = `a JSON array of strings, such as ["/bin/restore","--latest"]`
	var elements []any
	if err := json.Unmarshal([]byte(text), &elements); err != nil || elements == nil {
		return expected
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		s, is := e.(string)
		if !is {
			return expected
		}
		list[i] = s
	}
	return setList(target, list)
}

func setList(target *[]string, list []string) string {
	for _, s := range list {
		if strings.ContainsRune(s, 0) {
			return "text without NUL bytes"
		}
	}
	*target = list
	return ""
}
