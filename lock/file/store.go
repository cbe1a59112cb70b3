package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/lock"
)

// A store reads and updates the slots through one open file. Only the holder of the lock updates.
type store struct {
	path    string
	fd      int
	durable int // slot of the newest state known to be on the disk
}

// A snapshot is the newest whole state, and where it lies.
type snapshot struct {
	state
	data []byte
	slot int
	seqs [slots]int64 // of each slot; 0: torn or never written
}

// record is what the contract calls the stored record.
func (s snapshot) record() lock.Stored {
	if s.Version == 0 {
		return lock.Stored{}
	}
	return lock.Stored{Data: s.data, Version: versionOf(s.Version)}
}

func versionOf(n int64) lock.Version { return lock.Version{CAS: n, Seen: n} }

// load finds the newest whole state. A file without any is never taken for a new one.
func (s *store) load() (snapshot, error) {
	var now snapshot
	buf := make([]byte, fileSize)
	n, err := readAt(s.fd, buf)
	if err != nil {
		return now, classify(s.path, "read it", err)
	}
	buf = buf[:n]
	if !bytes.HasPrefix(buf, []byte(head)) {
		return now, s.bad("it does not begin as a lock file of this format")
	}
	if n < fileSize { // made whole: what a cut took away may be the newest state
		return now, s.bad(fmt.Sprintf("it was cut to %d bytes of %d", n, fileSize))
	}
	for i := range slots {
		from := min(n, headSize+i*slotSize)
		st, data, ok := decode(buf[from:min(n, from+slotSize)])
		if !ok {
			continue
		}
		now.seqs[i] = st.Seq
		if st.Seq > now.Seq {
			now.state, now.data, now.slot = st, data, i
		}
	}
	if now.Seq == 0 {
		return now, s.bad("none of its states is whole")
	}
	return now, nil
}

func (s *store) bad(why string) error {
	return fmt.Errorf("lock file %s: %w: %s: expected a file that interlock made; restore it, or remove it only when it is certain that nothing runs under this lock", s.path, lock.ErrBadRecord, why)
}

// readAt reads from the start up to the end of the file or the buffer.
func readAt(fd int, buf []byte) (int, error) {
	done := 0
	for done < len(buf) {
		n, err := unix.Pread(fd, buf[done:], int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, err
		}
		if n == 0 {
			break
		}
		done += n
	}
	return done, nil
}

// update writes the state after now. It becomes the newest; it is on the disk only after sync.
func (s *store) update(now snapshot, next state, data []byte) (snapshot, error) {
	next.Seq = now.Seq + 1
	slot, err := encode(next, data)
	if err != nil {
		return now, err
	}
	at := s.target(now)
	if err := writeAt(s.fd, slot, int64(headSize+at*slotSize)); err != nil {
		return now, classify(s.path, "write it", err)
	}
	now.state, now.data, now.slot = next, data, at
	now.seqs[at] = next.Seq
	return now, nil
}

// target is the oldest slot that is neither the newest nor the one to fall back to.
func (s *store) target(now snapshot) int {
	best := -1
	for i, seq := range now.seqs {
		if i != now.slot && i != s.durable && (best < 0 || seq < now.seqs[best]) {
			best = i
		}
	}
	return best
}

// sync brings all that was written onto the disk.
func (s *store) sync(now snapshot) error {
	if err := unix.Fdatasync(s.fd); err != nil {
		return classify(s.path, "bring it onto the disk", err)
	}
	s.durable = now.slot
	return nil
}

func writeAt(fd int, data []byte, at int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		data, at = data[n:], at+int64(n)
	}
	return nil
}
