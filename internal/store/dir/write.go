package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/interlock-run/interlock/internal/store"
)

// folderTries bounds how often a folder may be removed, for being empty, between its making and our use.
const folderTries = 5

// Create links a finished file to its key: the one step that both fails when the key is there and is
// atomic on NFS too.
func (d *Dir) Create(ctx context.Context, key string, data []byte) error {
	if err := store.CheckCreate(key, data); err != nil {
		return err
	}
	return d.publish(ctx, key, bytes.NewReader(data), int64(len(data)), d.link)
}

// Put renames a finished file to its key.
func (d *Dir) Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	if err := store.CheckPut(key, size); err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cannot rewind the body of %q: %w", key, err)
	}
	return d.publish(ctx, key, body, size, d.rename)
}

func (d *Dir) publish(ctx context.Context, key string, body io.Reader, size int64, show func(*temp, string) error) error {
	t, err := d.newTemp()
	if err != nil {
		return err
	}
	if err = t.fill(ctx, key, body, size); err == nil {
		err = d.show(t, key, show)
	}
	if dropped := t.drop(); dropped != nil && err != nil {
		return fmt.Errorf("%w; its temporary file stays until a sweep: %w", err, bare(dropped))
	}
	return err
}

// show gives the file its key. The folders of the key may vanish, for being empty, before it has it.
func (d *Dir) show(t *temp, key string, show func(*temp, string) error) error {
	for try := 0; ; try++ {
		err := d.mkdirs(path.Dir(key))
		if err == nil {
			err = show(t, key)
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrAmbiguous) || try == folderTries {
			return err
		}
	}
}

func (d *Dir) link(t *temp, key string) error {
	err := d.root.Link(t.name, key)
	switch {
	case err == nil:
		return d.settle(key)
	case errors.Is(err, syscall.EMLINK), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EOPNOTSUPP):
		return fmt.Errorf("cannot link %q in %q: %w (%w): use a filesystem with hard links", key, d.path, store.ErrUnfenced, bare(err))
	}
	return d.linked(t, key, err)
}

// linked tells what a failed link(2) came to: over NFS the reply to one that was done can be lost, and its
// repetition then finds the key there. A file that nobody else knows has a second name only by us.
func (d *Dir) linked(t *temp, key string, err error) error {
	names, serr := t.links()
	switch {
	case serr == nil && names > 1:
		return d.settle(key)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%q in %q: %w", key, d.path, store.ErrExists)
	}
	told := d.fault("link", key, err)
	if errors.Is(told, store.ErrUnreachable) {
		return fmt.Errorf("%w: %w", store.ErrAmbiguous, told)
	}
	return told
}

// settle makes the new name durable. Until then a power cut may take it back.
func (d *Dir) settle(key string) error {
	if err := d.syncUp(path.Dir(key)); err != nil {
		return fmt.Errorf("%w: %w", store.ErrAmbiguous, err)
	}
	return nil
}

func (d *Dir) rename(t *temp, key string) error {
	if err := d.root.Rename(t.name, key); err != nil {
		return d.fault("rename to", key, err)
	}
	return d.syncUp(path.Dir(key))
}

// mkdirs makes the folders of a key, never the root.
func (d *Dir) mkdirs(folder string) error {
	if folder == "." {
		return d.gone()
	}
	if err := d.mkdirs(path.Dir(folder)); err != nil {
		return err
	}
	return d.mkdir(folder)
}

func (d *Dir) mkdir(folder string) error {
	err := d.root.Mkdir(folder, d.mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.gone(); err != nil {
			return err
		}
	}
	if err != nil {
		return d.fault("make the folder", folder, err)
	}
	return nil
}

// syncUp syncs a folder and all above it: another process may have made one and not synced it yet.
func (d *Dir) syncUp(folder string) error {
	f, err := d.root.OpenFile(folder, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return d.fault("open for fsync", folder, err)
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // a filesystem that syncs no folders has nothing better to offer
	}
	if err := firstOf(err, f.Close()); err != nil {
		return d.fault("fsync", folder, err)
	}
	if folder == "." {
		return nil
	}
	return d.syncUp(path.Dir(folder))
}
