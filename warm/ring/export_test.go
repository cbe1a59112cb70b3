package ring

// Ch3Node is the rule itself, for more nodes than a list may have.
func Ch3Node(key []byte, nodes int) int { return ch3(key, nodes) }
