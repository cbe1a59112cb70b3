package drain

import (
	"fmt"
	"os"
	"strings"

	"github.com/interlock-run/interlock/mountcheck"
)

// elsewhere says why writes of an NFS mount may go to other addresses than its server's, where nobody
// looks; empty if they do not.
func elsewhere(m mountcheck.Mount) string {
	if n, found := option(m.Super, "max_connect"); found && n != "1" {
		return fmt.Sprintf("max_connect=%s: other addresses of the server are used, too", n)
	}
	if m.FSType == "nfs" { // version 4 alone has layouts
		return ""
	}
	raw, err := os.ReadFile("/proc/self/mountstats")
	if err != nil {
		return err.Error()
	}
	switch layout := layoutOf(string(raw), m.Point); layout {
	case "not configured":
		return ""
	case "":
		return "the kernel does not tell whether it is pNFS, whose data servers cannot be asked"
	default:
		return fmt.Sprintf("pNFS (%s): its data servers cannot be asked", layout)
	}
}

// layoutOf is the pNFS layout driver of what is mounted last at a point, as /proc/self/mountstats has it.
func layoutOf(stats, point string) (layout string) {
	escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(point)
	ours := false
	for line := range strings.Lines(stats) {
		if rest, is := strings.CutPrefix(line, "device "); is {
			_, rest, _ = strings.Cut(rest, " mounted on ")
			at, _, _ := strings.Cut(rest, " with fstype ")
			if ours = at == escaped; ours {
				layout = ""
			}
		}
		_, fields, is := strings.Cut(line, "nfsv4:")
		for f := range strings.SplitSeq(strings.TrimSpace(fields), ",") {
			if value, found := strings.CutPrefix(f, "pnfs="); ours && is && found {
				layout = value
			}
		}
	}
	return layout
}
