package main

import "github.com/hanwen/go-fuse/v2/fuse"

func (x *faulty) Mkdir(c stop, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := x.f.at("mkdir"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Mkdir(c, in, name, out)
}

func (x *faulty) Unlink(c stop, h *fuse.InHeader, name string) fuse.Status {
	if s := x.f.at("unlink"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Unlink(c, h, name)
}

func (x *faulty) Rmdir(c stop, h *fuse.InHeader, name string) fuse.Status {
	if s := x.f.at("rmdir"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Rmdir(c, h, name)
}

func (x *faulty) Rename(c stop, in *fuse.RenameIn, from, to string) fuse.Status {
	if s := x.f.at("rename"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Rename(c, in, from, to)
}

func (x *faulty) FsyncDir(c stop, in *fuse.FsyncIn) fuse.Status {
	if s := x.f.at("fsyncdir"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.FsyncDir(c, in)
}

func (x *faulty) OpenDir(c stop, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s := x.f.at("opendir"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.OpenDir(c, in, out)
}

func (x *faulty) ReadDir(c stop, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if s := x.f.at("readdir"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.ReadDir(c, in, out)
}

func (x *faulty) ReadDirPlus(c stop, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if s := x.f.at("readdir"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.ReadDirPlus(c, in, out)
}

func (x *faulty) Statx(c stop, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	if s := x.f.at("getattr"); s != fuse.OK {
		return s
	}
	return x.RawFileSystem.Statx(c, in, out)
}
