package probe

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// shed lets go of the pages of the program that its start has touched: they are counted as this process's, and a
// helper needs few of them again. They stay in the page cache, shared with the agent, and come back when they are
// used. What nobody can have written to is let go of, nothing else; a failure costs memory alone.
func shed() {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range clean(smaps) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, end uintptr }

// clean are the mappings of files that cannot be written to and of which no page was ever changed: a dynamic
// loader writes to its read-only parts before they become so, and what it wrote would be lost.
func clean(smaps []byte) (all []mapping) {
	var m mapping
	var file bool
	for line := range bytes.Lines(smaps) {
		f := bytes.Fields(line)
		switch {
		case len(f) > 1 && !bytes.HasSuffix(f[0], []byte{':'}):
			m, file = program(f)
		case file && len(f) == 3 && string(f[0]) == "Anonymous:" && string(f[1]) == "0":
			all = append(all, m)
		}
	}
	return all
}

// program reads the first line of a mapping; ok is true for a private part of a file without a right to write.
func program(f [][]byte) (m mapping, ok bool) {
	if len(f) < 6 || f[5][0] != '/' || len(f[1]) != 4 || f[1][1] != '-' || f[1][3] != 'p' {
		return m, false
	}
	from, to, _ := bytes.Cut(f[0], []byte{'-'})
	start, err1 := strconv.ParseUint(string(from), 16, strconv.IntSize)
	end, err2 := strconv.ParseUint(string(to), 16, strconv.IntSize)
	return mapping{uintptr(start), uintptr(end)}, err1 == nil && err2 == nil && start < end
}
