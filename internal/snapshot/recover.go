package snapshot

import (
	_ "embed"
	"strings"
)

//go:embed recover.txt
var recoverHelp string

//go:embed recover-sealed.txt
var recoverSealedHelp string

// recoverText is RECOVER.txt. That of an encrypted repository begins with how to decrypt it; the rest is
// about what is then there.
func recoverText(encrypted bool) string {
	if !encrypted {
		return recoverHelp
	}
	_, rest, _ := strings.Cut(recoverHelp, "\n\n")
	return recoverSealedHelp + "\n" + rest
}
