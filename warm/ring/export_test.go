package ring

// Ch3Node is the rule itself, for more nodes than a list may have.
func Ch3Node(key []byte, nodes int) int { return ch3(key, nodes) }

// WeightedCh3Node is the rule itself, for more nodes than a list may have, and for a weight of nothing.
func WeightedCh3Node(key []byte, nodes int, weight float64) int {
	most := make([]uint64, nodes)
	for n := range most {
		most[n] = uint64(weight * (1<<32 - 1))
	}
	return rejecting(key, most)
}

// Spooky is the hash of the weights.
func Spooky(key []byte) uint32 { return spooky32(key, 0) }
