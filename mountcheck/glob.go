package mountcheck

// glob matches a whole string: "*" any bytes, "/" included (sources are full of them), "?" one byte,
// "\" takes the next one as it is.
func glob(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		c, width := literal(pattern, p)
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || c == s[i]):
			p += width
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// literal is the byte that the pattern means at p, and how many bytes it takes there.
func literal(pattern string, p int) (byte, int) {
	switch {
	case p >= len(pattern):
		return 0, 0
	case pattern[p] == '\\' && p+1 < len(pattern):
		return pattern[p+1], 2
	}
	return pattern[p], 1
}
