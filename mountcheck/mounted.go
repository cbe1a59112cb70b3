package mountcheck

// Mounted tells whether the filesystem of a mount is still mounted somewhere in this mount namespace, here or at
// another place.
func Mounted(m Mount) (bool, error) {
	t, err := readTable()
	if err != nil {
		return false, err
	}
	// A number without a device is soon another filesystem's.
	same := func(o Mount) bool { return o.Major == m.Major && o.Minor == m.Minor && o.FSType == m.FSType }
	found := same(t.root)
	for _, kids := range t.kids {
		for _, k := range kids {
			found = found || same(k)
		}
	}
	return found, nil
}
