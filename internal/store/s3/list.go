package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/interlock-run/interlock/internal/store"
)

// bucketThere asks for the bucket itself: the answer to a HEAD or a list of what is in a missing one looks
// like that of an empty one on some servers.
func (s *S3) bucketThere(ctx context.Context) *fault {
	return s.tries(ctx, func() *fault {
		there := false
		f := s.one(ctx, func(a *attempt) (err error) {
			there, err = s.core.BucketExists(a.ctx, s.opts.Bucket)
			return err
		})
		if f == nil && !there {
			f = s.answered(minio.ErrorResponse{Code: "NoSuchBucket", StatusCode: 404})
		}
		return f
	})
}

// List goes page by page; after a fault it goes on behind the last object it gave.
func (s *S3) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		l := &list{s: s, ctx: ctx, prefix: prefix, last: after, yield: yield}
		f := l.all()
		if f == nil && !l.any && !l.stopped {
			f = s.bucketThere(ctx)
		}
		if f != nil && !l.stopped {
			yield(store.Object{}, s.said("list", prefix, f))
		}
	}
}

// A list is one on its way, over all its tries.
type list struct {
	s            *S3
	ctx          context.Context
	prefix, last string
	any, stopped bool
	yield        func(store.Object, error) bool
}

// all has patience anew whenever it came further: a list can take longer than any patience.
func (l *list) all() *fault {
	for {
		before := l.last
		f := l.s.tries(l.ctx, func() *fault {
			if f := l.pages(); !l.stopped {
				return f
			}
			return nil
		})
		if f == nil || !f.again || l.last == before {
			return f
		}
	}
}

func (l *list) pages() *fault {
	s, no, before := l.s, false, ""
	return s.one(l.ctx, func(a *attempt) error {
		opts := minio.ListObjectsOptions{Prefix: s.prefix + l.prefix, Recursive: true, FetchOwner: &no}
		if l.last != "" {
			opts.StartAfter = s.prefix + l.last
		}
		for info := range s.core.ListObjectsIter(a.ctx, s.opts.Bucket, opts) {
			a.timer.Stop() // the caller takes its time
			if info.Err != nil {
				return info.Err
			}
			if err := l.give(info, before); err != nil || l.stopped {
				return err
			}
			before = info.Key
			a.timer.Reset(a.limit)
		}
		return a.ctx.Err() // minio-go ends a list quietly when its context ends
	})
}

func (l *list) give(info minio.ObjectInfo, before string) error {
	key, ours := strings.CutPrefix(info.Key, l.s.prefix)
	if !ours || !strings.HasPrefix(key, l.prefix) {
		return fmt.Errorf("%w: it has %q, which does not begin with %q", errListed, info.Key, l.s.prefix+l.prefix)
	}
	if info.Key <= before {
		return fmt.Errorf("%w: %q comes behind %q", errListed, info.Key, before)
	}
	if key <= l.last {
		return nil // a server that knows no StartAfter
	}
	if store.CheckKey(key) != nil {
		return nil // a console's folder, or anything else that is not ours
	}
	l.last, l.any = key, true
	l.stopped = !l.yield(store.Object{Key: key, Size: info.Size, Time: info.LastModified}, nil)
	return nil
}

// errListed is a list that no S3 server may give. Taking it would lose objects.
var errListed = errors.New("the server's list is not one of S3")

// Delete removes an object.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	f := s.tries(ctx, func() *fault {
		return s.one(ctx, func(a *attempt) error {
			return s.core.RemoveObject(a.ctx, s.opts.Bucket, s.prefix+key, minio.RemoveObjectOptions{})
		})
	})
	if f != nil && errors.Is(f.is, store.ErrNotFound) {
		f = s.bucketThere(ctx)
	}
	if f != nil {
		return s.said("delete", key, f)
	}
	return nil
}
