package kubernetes

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// An image is what a Dockerfile says that the examples need: one FROM, one copied file.
type image struct {
	name            string // of the build command in its comment
	from, copied    string // the images that it is made of
	file            string // where the copied file lies
	entrypoint, cmd []string
}

var tagged = regexp.MustCompile(`docker build .*-t (\S+)`)

// parseImage reads a Dockerfile without continued lines.
func parseImage(text string) (*image, error) {
	i := &image{}
	if m := tagged.FindStringSubmatch(text); m != nil {
		i.name = m[1]
	}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch word {
		case "", "#":
		case "FROM":
			i.from = rest
		case "COPY":
			fields := strings.Fields(rest)
			if len(fields) != 3 || fields[1] != "/interlock" {
				return nil, fmt.Errorf("COPY %s: expected --from=IMAGE /interlock PATH", rest)
			}
			i.copied, i.file = strings.TrimPrefix(fields[0], "--from="), fields[2]
		case "ENTRYPOINT":
			err = json.Unmarshal([]byte(rest), &i.entrypoint)
		case "CMD":
			err = json.Unmarshal([]byte(rest), &i.cmd)
		default:
			err = fmt.Errorf("no rule here looks at it")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
	}
	return i, nil
}

// argv is what the container executes.
func (e *example) argv() []string {
	c := e.container()
	command, args := c.Command, c.Args
	if len(command) == 0 && e.image != nil {
		command = e.image.entrypoint
		if len(args) == 0 {
			args = e.image.cmd
		}
	}
	return append(append([]string{}, command...), args...)
}
