package snapshot

// A rule is one of those that make commits and collection safe. They are named so that the model's test can
// drop each and show that it is missed; nothing else sets them.
type rule uint16

const (
	ruleFence    rule = 1 << iota // a lower token than the committed one commits nothing
	ruleScope                     // nor does a token of another lock, or none
	ruleNonce                     // what is under the number that was tried is compared with the own nonce
	ruleChain                     // a created catalog counts only if the next one builds on it
	ruleParent                    // the parent is still live at publication
	ruleDead                      // what was dead is never published
	ruleAge                       // a snapshot begun too many commits ago is not published
	ruleOwner                     // only packs of owners that are dead or overtaken are deleted
	ruleCurrent                   // the current token has not been overtaken
	ruleNamed                     // what a live manifest names stays
	ruleReadable                  // a catalog that no reader would take is not made
	ruleKeepDead                  // the dead are remembered for as long as a writer may come back
	ruleSure                      // what may have been published is not discarded
)

func (r *Repository) on(x rule) bool { return r.dropped&x == 0 }

// windows are counts of commits, which serve where others would trust a clock.
type windows struct {
	publish uint64 // a snapshot begun at catalog n is published at n+publish or not at all
	dead    uint64 // the dead are remembered, and catalogs kept, for so many commits; more than publish
}

func standardWindows() windows { return windows{publish: 512, dead: 1024} }
