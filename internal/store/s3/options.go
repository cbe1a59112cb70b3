package s3

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/interlock-run/interlock/internal/store"
)

// Options say where the bucket is and who we are. Bucket is needed, all else may be empty.
type Options struct {
	Bucket, Prefix string // as store.ParsePlace gives them
	Endpoint       string // http(s)://host[:port]; Amazon's own when empty
	Region         string // AWS_REGION, AWS_DEFAULT_REGION, or asked of the server, when empty
	PathStyle      bool   // the bucket stands in the path and not in the host's name
	CAFile         string // PEM; the system's own authorities when empty

	CredentialsFile string // AWS's format; when empty: the environment, AWS's own files, then the machine's role
	Profile         string // AWS_PROFILE or "default" when empty

	Stall    time.Duration // a request without progress ends after this: 30 s when 0
	Patience time.Duration // no new try begins after this: 60 s when 0
}

// An S3 is one repository in a bucket.
type S3 struct {
	core   minio.Core
	opts   Options
	where  string // s3://bucket/prefix at endpoint, for messages
	prefix string // empty, or ends with a slash
	idle   func() // closes connections
}

var _ store.Store = (*S3)(nil)

// Open prepares the client. It asks nothing of the server yet.
func Open(o Options) (*S3, error) {
	o.Stall, o.Patience = cmp.Or(o.Stall, 30*time.Second), cmp.Or(o.Patience, time.Minute)
	o.Region = cmp.Or(o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	place := store.Place{Scheme: "s3", Bucket: o.Bucket, Path: o.Prefix}
	if again, err := store.ParsePlace(place.String()); err != nil || again != place {
		return nil, fmt.Errorf("store %s: %w: expected a bucket, and a prefix without slashes at its ends", place, store.ErrUse)
	}
	host, secure, err := endpoint(&o)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(host, &minio.Options{Creds: newCredentials(o, transport), Secure: secure, Transport: onlyS3{transport}, Region: o.Region,
		BucketLookup: lookup, MaxRetries: 1})
	if err != nil {
		return nil, fmt.Errorf("store %s at %q: %w: %w", place, o.Endpoint, store.ErrUse, err)
	}
	s := &S3{core: *core, opts: o, where: place.String() + " at " + o.Endpoint, idle: transport.CloseIdleConnections}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	return s, nil
}

// endpoint fills in what follows from the endpoint, and takes it apart.
func endpoint(o *Options) (host string, secure bool, err error) {
	if o.Endpoint == "" {
		o.Endpoint = "https://s3.amazonaws.com"
	} else {
		o.Region = cmp.Or(o.Region, "us-east-1") // what other servers are, unless told
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" ||
		u.RawQuery != "" || u.Fragment != "" {
		return "", false, fmt.Errorf("store endpoint %q: %w: expected http://host:port or https://host:port", o.Endpoint, store.ErrUse)
	}
	return u.Host, u.Scheme == "https", nil
}

// Close ends idle connections.
func (s *S3) Close() error {
	s.idle()
	return nil
}
