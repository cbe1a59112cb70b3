package probe

import "encoding/binary"

// decoder takes a packet apart; a short packet makes it bad and every further value zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint32) []byte {
	if d.bad || uint64(n) > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	head := d.b[:n]
	d.b = d.b[n:]
	return head
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) text() string { return string(d.take(d.u32())) }

func (d *decoder) ident() Ident {
	return Ident{ID: d.u64(), Unique: d.u64(), Major: d.u32(), Minor: d.u32(), Subvol: d.byte() == 1, Pinned: d.byte() == 1}
}

// identSize is that of a packed Ident.
const identSize = 8 + 8 + 4 + 4 + 1 + 1

func (a Ident) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, a.ID)
	b = binary.LittleEndian.AppendUint64(b, a.Unique)
	b = binary.LittleEndian.AppendUint32(b, a.Major)
	b = binary.LittleEndian.AppendUint32(b, a.Minor)
	return append(b, flag(a.Subvol), flag(a.Pinned))
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

// Space is the answer of OpStatfs.
type Space struct {
	Unit                       uint64 // bytes of a block
	Blocks, Avail, Files, Free uint64
	ReadOnly                   bool
}

func (s Space) encode() []byte {
	b := make([]byte, 0, 5*8+1)
	for _, v := range []uint64{s.Unit, s.Blocks, s.Avail, s.Files, s.Free} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return append(b, flag(s.ReadOnly))
}

// DecodeSpace reads the Data of OpStatfs.
func DecodeSpace(b []byte) (Space, error) {
	d := decoder{b: b}
	s := Space{Unit: d.u64(), Blocks: d.u64(), Avail: d.u64(), Files: d.u64(), Free: d.u64(), ReadOnly: d.byte() == 1}
	if d.bad {
		return Space{}, ErrPacket
	}
	return s, nil
}

// Found is the answer of OpResolve.
type Found struct {
	Dir  bool
	Real string // the path without symbolic links, as the kernel names it
}

func (f Found) encode() []byte { return append([]byte{flag(f.Dir)}, f.Real...) }

// DecodeFound reads the Data of OpResolve.
func DecodeFound(b []byte) (Found, error) {
	d := decoder{b: b}
	f := Found{Dir: d.byte() == 1}
	if d.bad {
		return Found{}, ErrPacket
	}
	f.Real = string(d.b)
	return f, nil
}

func (u UUIDs) encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, u.DeviceErrno)
	return appendText(appendText(append(b, flag(u.Opened)), u.Mounted), u.Device)
}

// DecodeUUIDs reads the Data of OpUUID.
func DecodeUUIDs(b []byte) (UUIDs, error) {
	d := decoder{b: b}
	u := UUIDs{DeviceErrno: d.u32(), Opened: d.byte() == 1, Mounted: d.text(), Device: d.text()}
	if d.bad {
		return UUIDs{}, ErrPacket
	}
	return u, nil
}
