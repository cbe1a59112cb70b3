package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/interlock-run/interlock/internal/store"
)

// A fault is what one request came to.
type fault struct {
	is    error // what it means to the caller; may be nil
	cause error
	hint  string
	again bool // another try may go better
	maybe bool // it may have been carried out all the same
	mute  bool // nothing at all was answered
}

// stalled ends a request that makes no progress.
var errStalled = errors.New("no progress within the time limit")

// verdict on one request. sent: some of it may have reached the server.
func (s *S3) verdict(ctx context.Context, sent bool, err error) *fault {
	var resp minio.ErrorResponse
	var untrusted *tls.CertificateVerificationError
	var name x509.HostnameError
	switch {
	case errors.Is(err, store.ErrUse), errors.Is(err, errListed):
		return &fault{cause: err}
	case ctx.Err() != nil:
		return &fault{is: context.Cause(ctx), cause: errors.New("given up"), maybe: sent, mute: true}
	case errors.As(err, &resp):
		return s.answered(resp)
	case errors.Is(err, store.ErrCredentials), errors.Is(err, store.ErrUnreachable):
		return &fault{cause: err, again: errors.Is(err, store.ErrUnreachable)}
	case errors.As(err, &name):
		return &fault{is: store.ErrUnreachable, cause: err, hint: "the server's certificate is for another name than the endpoint's"}
	case errors.As(err, &untrusted):
		return &fault{is: store.ErrUnreachable, cause: err, hint: "its certificate is not signed by " + s.authorities()}
	case errors.Is(err, http.ErrSchemeMismatch):
		return &fault{is: store.ErrUnreachable, cause: err, hint: "the endpoint speaks http, not https"}
	}
	return &fault{is: store.ErrUnreachable, cause: err, again: true, maybe: sent, mute: true}
}

func (s *S3) authorities() string {
	if s.opts.CAFile == "" {
		return "an authority that this system trusts: name the CA's file"
	}
	return "an authority in " + s.opts.CAFile
}

// answered judges a refusal of the server by its code, then by its status.
func (s *S3) answered(r minio.ErrorResponse) *fault {
	f := &fault{cause: fmt.Errorf("%s (%d): %s", r.Code, r.StatusCode, strings.TrimSuffix(r.Error(), "."))}
	has := func(codes ...string) bool { return slices.Contains(codes, r.Code) }
	switch {
	case has("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"), r.StatusCode == http.StatusInsufficientStorage:
		f.is, f.hint = store.ErrFull, "free space or raise the quota"
	case has("NoSuchBucket"):
		f.is, f.hint = store.ErrNoPlace, "check the bucket's name and the endpoint, or make the bucket"
	case has("NoSuchKey"):
		f.is = store.ErrNotFound
	case has("RequestTimeTooSkewed"):
		f.is, f.hint = store.ErrCredentials, "the clocks of this host and the server differ too much"
	case has("ExpiredToken", "InvalidToken", "XAdminUserNotFound"), r.StatusCode == http.StatusForbidden, r.StatusCode == http.StatusUnauthorized:
		f.is, f.hint = store.ErrCredentials, "check the keys, and what they allow in this bucket"
	case has("XAmzContentSHA256Mismatch", "BadDigest"):
		f.is, f.again = store.ErrDamaged, true
	case has("AuthorizationHeaderMalformed", "InvalidRegion", "PermanentRedirect"), r.StatusCode == http.StatusMovedPermanently:
		f.hint = fmt.Sprintf("the bucket is in the region %q: set it", r.Region)
	case r.StatusCode == http.StatusPreconditionFailed:
		f.is = store.ErrExists
	case r.StatusCode == http.StatusConflict:
		f.is, f.again = store.ErrUnreachable, true
	case r.StatusCode == http.StatusNotImplemented:
		f.is, f.hint = store.ErrUnfenced, "it does not implement what is asked"
	case r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		f.is = store.ErrDamaged
	case has("RequestTimeout"), r.StatusCode == http.StatusTooManyRequests, r.StatusCode >= 500:
		f.is, f.again, f.maybe = store.ErrUnreachable, true, true
	}
	return f
}

// said is the one line of a fault.
func (s *S3) said(doing, key string, f *fault) error {
	text := fmt.Sprintf("cannot %s %q in %s", doing, key, s.where)
	hint := ""
	if f.hint != "" {
		hint = ": " + f.hint
	}
	if f.is == nil {
		return fmt.Errorf("%s: %w%s", text, f.cause, hint)
	}
	return fmt.Errorf("%s: %w: %w%s", text, f.is, f.cause, hint)
}
