package restore

import (
	"fmt"
	"path/filepath"
	"strings"
)

// StateDirName is the name of the default state directory.
const StateDirName = ".interlock"

// StateDirFor chooses the state directory: in the root of the mount that holds the data, or beside the
// data on a plain disk. mounted tells that dataMountpoint is such a mount (not the root filesystem). The
// warning is for the start log; empty when there is nothing to say. All paths are absolute and resolved.
func StateDirFor(data, dataMountpoint string, mounted bool) (dir string, warning string) {
	data, mount := filepath.Clean(data), filepath.Clean(dataMountpoint)
	switch {
	case mounted && mount == data:
		return filepath.Join(data, StateDirName), fmt.Sprintf("data directory %q is itself a mount point, so the state directory %q lies in it: a service that wants an empty directory (initdb) or takes each directory for a database (MariaDB) trips over it: use a directory below the mount point", data, StateDirName)
	case mounted && below(mount, data):
		return filepath.Join(mount, StateDirName), ""
	}
	return filepath.Join(filepath.Dir(data), StateDirName), ""
}

// CheckStateDir tells why a state directory that was set by hand may not be used.
func CheckStateDir(stateDir, data, dataMountpoint string, mounted bool) error {
	dir, data, mount := filepath.Clean(stateDir), filepath.Clean(data), filepath.Clean(dataMountpoint)
	switch {
	case !filepath.IsAbs(dir) || dir == "/":
		return fmt.Errorf("state directory %q: expected an absolute path below /", stateDir)
	case dir == data || below(dir, data):
		return fmt.Errorf("state directory %q holds the data directory %q: expected a directory of its own, for instance %q", dir, data, filepath.Join(dir, StateDirName))
	case below(data, dir) && !(mounted && mount == data && dir == filepath.Join(data, StateDirName)):
		return fmt.Errorf("state directory %q lies inside the data directory %q: a restore could remove it: expected a place outside (only where the data directory is itself a mount point: %q)", dir, data, filepath.Join(data, StateDirName))
	case mounted && !below(mount, dir):
		return fmt.Errorf("state directory %q lies outside the mount %q that it is to protect: expected a place below it, for instance %q", dir, mount, filepath.Join(mount, StateDirName))
	}
	return nil
}

// below tells whether path lies strictly below dir; both clean and absolute.
func below(dir, path string) bool {
	if dir == "/" {
		return path != "/" && strings.HasPrefix(path, "/")
	}
	return strings.HasPrefix(path, dir+"/")
}
