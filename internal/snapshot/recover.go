package snapshot

import _ "embed"

//go:embed recover.txt
var recoverHelp string

// recoverText is RECOVER.txt.
func recoverText() string { return recoverHelp }
