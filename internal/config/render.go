package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// plain turns the value behind a field's pointer into what JSON can show as it would be written.
func plain(target any) any {
	switch v := target.(type) {
	case *string:
		return *v
	case *time.Duration:
		return durationText(*v)
	case *int:
		return *v
	case *bool:
		return *v
	case *[]string:
		return append([]string{}, *v...)
	case *[]Mount:
		return plainMounts(*v)
	}
	return nil
}

func plainMounts(mounts []Mount) []map[string]any {
	list := make([]map[string]any, len(mounts))
	for i := range mounts {
		list[i] = map[string]any{}
		for _, part := range mountParts() {
			list[i][part.key] = plain(part.at(&mounts[i]))
		}
	}
	return list
}

// text shows a plain value on one line: scalars as they would be written after a flag, lists as JSON.
func text(value any) string {
	switch value.(type) {
	case string, int, bool:
		return fmt.Sprint(value)
	}
	line, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%v", value)
	}
	return string(line)
}

// durationText is Duration.String without its trailing zero units: 2h, not 2h0m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func dashed(s string) string { return strings.ReplaceAll(s, "_", "-") }
