package main

import (
	"slices"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// at is called at the begin of every operation.
func (f *faults) at(op string) fuse.Status {
	for {
		f.mu.Lock()
		r := f.rule
		f.mu.Unlock()
		if len(r.ops) > 0 && !slices.Contains(r.ops, op) {
			return fuse.OK
		}
		switch r.kind {
		case "error":
			return r.status
		case "hang": // whatever interrupts the caller: as a network filesystem's request that was sent
			f.held.Add(1)
			<-r.over
			f.held.Add(-1)
			continue
		case "slow":
			select {
			case <-time.After(r.delay):
			case <-r.over:
			}
		}
		return fuse.OK
	}
}

// faulty asks for the fault before each operation. What it does not name is passed on as it is.
type faulty struct {
	fuse.RawFileSystem
	f *faults
}

type stop = <-chan struct{}

// through keeps the kernel from going past us, straight to the file behind.
func through(out *fuse.OpenOut) {
	out.OpenFlags &^= fuse.FOPEN_PASSTHROUGH
	out.BackingID = 0
}

func (x *faulty) Lookup(c stop, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if s := x.f.at("lookup"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Lookup(c, h, name, out)
}

func (x *faulty) GetAttr(c stop, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if s := x.f.at("getattr"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.GetAttr(c, in, out)
}

func (x *faulty) SetAttr(c stop, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if s := x.f.at("setattr"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.SetAttr(c, in, out)
}

func (x *faulty) Create(c stop, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if s := x.f.at("create"); s != fuse.OK {
		return s
	}
	defer through(&out.OpenOut)
	return x.RawFileSystem.Create(c, in, name, out)
}

func (x *faulty) Open(c stop, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s := x.f.at("open"); s != fuse.OK {
		return s
	}
	defer through(out)
	return x.RawFileSystem.Open(c, in, out)
}

func (x *faulty) Read(c stop, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if s := x.f.at("read"); s != fuse.OK {
		return nil, s
	}
	return x.RawFileSystem.Read(c, in, buf)
}

func (x *faulty) Write(c stop, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if s := x.f.at("write"); s != fuse.OK {
		return 0, s
	}
	if x.f.server != nil {
		if _, err := x.f.server.Write(data); err != nil {
			return 0, fuse.EIO
		}
	}
	return x.RawFileSystem.Write(c, in, data)
}

func (x *faulty) Flush(c stop, in *fuse.FlushIn) fuse.Status {
	if s := x.f.at("flush"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Flush(c, in)
}

func (x *faulty) Fsync(c stop, in *fuse.FsyncIn) fuse.Status {
	if s := x.f.at("fsync"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Fsync(c, in)
}

func (x *faulty) StatFs(c stop, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	if s := x.f.at("statfs"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.StatFs(c, h, out)
}

// Writev leaves all writes to Write.
func (x *faulty) Writev(stop, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) { return 0, fuse.ENOSYS }
