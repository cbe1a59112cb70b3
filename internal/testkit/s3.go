package testkit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// afterBuild is what is left of go test's time for the tests themselves, once a server had to be built.
const afterBuild = time.Minute

// VersityGW is the server of S3: 200 s to build on two busy cores, once. A runner may do that beforehand.
func VersityGW() ModuleTool {
	return ModuleTool{Module: "modules/versitygw", Package: "github.com/versity/versitygw/cmd/versitygw", Name: "versitygw"}
}

// MinIOServer is that of MinIO.
func MinIOServer() ModuleTool {
	return ModuleTool{Module: "modules/minio", Package: "github.com/minio/minio", Name: "minio"}
}

// S3Options choose how an S3 server runs; the zero value is plain HTTP on loopback, its data in the test's
// own folder.
type S3Options struct {
	TLS bool   // https with a certificate of the server's own authority
	Dir string // where the data lies; each folder in it is a bucket
}

// S3Server is one real S3 server with one user, who may do anything.
type S3Server struct {
	*daemon
	AccessKey, SecretKey string
	Region               string

	opts S3Options
	dir  string
	port int
	pki  *PKI
}

// S3 starts versitygw on a directory for this test and stops it afterwards. Where it cannot be built the
// test is skipped.
func S3(t testing.TB, o S3Options) *S3Server {
	t.Helper()
	return newS3(t, o, VersityGW(), (*S3Server).versity)
}

// MinIO is S3 with the server of that name: for the long form of a test, since it takes 112 MB and a build
// of minutes.
func MinIO(t testing.TB, o S3Options) *S3Server {
	t.Helper()
	if !Long() {
		Skip(t, "minio", "only in the long form (INTERLOCK_TEST_LONG)")
	}
	return newS3(t, o, MinIOServer(), (*S3Server).minio)
}

func newS3(t testing.TB, o S3Options, tool ModuleTool, command func(*S3Server, string) []string) *S3Server {
	t.Helper()
	root, err := ModuleRoot()
	must(t, err)
	ctx, cancel := buildTime(t)
	defer cancel()
	binary, err := tool.Build(ctx, root)
	if err != nil {
		Skip(t, tool.Name, "it cannot be built: "+err.Error())
	}
	s, err := startS3(t.TempDir(), o, func(s *S3Server) []string { return command(s, binary) })
	must(t, err)
	t.Cleanup(func() { s.Kill(t) })
	recordRun(t, tool.Name, filepath.Base(filepath.Dir(binary)))
	return s
}

// buildTime ends in time to skip loudly. What a build that was too slow has compiled, the next one has.
func buildTime(t testing.TB) (context.Context, context.CancelFunc) {
	if with, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := with.Deadline(); ok {
			return context.WithDeadline(context.Background(), end.Add(-afterBuild))
		}
	}
	return context.WithTimeout(context.Background(), time.Hour)
}

func startS3(dir string, o S3Options, command func(*S3Server) []string) (*S3Server, error) {
	var err error
	for try := range 3 {
		s := &S3Server{AccessKey: "tester", SecretKey: "testersecret", Region: "us-east-1", opts: o,
			dir: filepath.Join(dir, fmt.Sprintf("s3-%d", try))}
		if err = s.prepare(); err != nil {
			return nil, err
		}
		s.daemon = &daemon{name: "s3", args: command(s), log: filepath.Join(s.dir, "log"), ready: s.answers}
		if err = s.start(readyLimit); err == nil || !errors.Is(err, errExited) {
			return s, err
		}
	}
	return nil, err
}

func (s *S3Server) prepare() error {
	if s.opts.Dir == "" {
		s.opts.Dir = filepath.Join(s.dir, "data")
	}
	if err := errors.Join(os.MkdirAll(s.dir, 0o700), os.MkdirAll(s.opts.Dir, 0o700), os.MkdirAll(s.certs(), 0o700)); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.port = ports[0]
	if !s.opts.TLS {
		return nil
	}
	if s.pki, err = newPKI(s.dir); err != nil {
		return err
	}
	pair, err := s.pki.issue("server")
	if err != nil {
		return err
	}
	// MinIO looks for these names.
	return errors.Join(os.Symlink(pair.Cert, filepath.Join(s.certs(), "public.crt")), os.Symlink(pair.Key, filepath.Join(s.certs(), "private.key")))
}

func (s *S3Server) certs() string { return filepath.Join(s.dir, "certs") }

func (s *S3Server) versity(binary string) []string {
	args := []string{binary, "--port", loopback(s.port), "--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region, "--keep-alive", "--quiet"}
	if s.opts.TLS {
		args = append(args, "--cert", filepath.Join(s.certs(), "public.crt"), "--key", filepath.Join(s.certs(), "private.key"))
	}
	return append(args, "posix", s.opts.Dir)
}

// minio takes its user from the environment alone.
func (s *S3Server) minio(binary string) []string {
	return []string{"env", "MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"CI=on", binary, "server", "--quiet", "--address", loopback(s.port), "--certs-dir", s.certs(), s.opts.Dir}
}

// answers wants any answer of an S3 server to a request without a name.
func (s *S3Server) answers() error {
	transport := &http.Transport{DisableKeepAlives: true}
	if s.pki != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		transport.TLSClientConfig.RootCAs.AddCert(s.pki.cert)
	}
	client := &http.Client{Timeout: 3 * time.Second, Transport: transport}
	resp, err := client.Get(s.Endpoint() + "/")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusForbidden {
		return fmt.Errorf("%s: expected a refusal", resp.Status)
	}
	return nil
}

// Addr is host:port.
func (s *S3Server) Addr() string { return loopback(s.port) }

// Endpoint is scheme://host:port.
func (s *S3Server) Endpoint() string {
	if s.opts.TLS {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Flags name the store at this URL (s3://BUCKET/PREFIX) to any verb, by an endpoint that may be a proxy's.
func (s *S3Server) Flags(url, endpoint string) []string {
	return []string{"--store", url, "--store-endpoint", endpoint, "--store-region", s.Region, "--store-path-style"}
}

// Env is an environment with the server's keys, a home without others, and no other way to them.
func (s *S3Server) Env(home string) []string { return S3Env(s.AccessKey, s.SecretKey, home) }

// S3Env is Env with any keys.
func S3Env(access, secret, home string) []string {
	return []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_SESSION_TOKEN=", "HOME=" + home, "AWS_EC2_METADATA_DISABLED=true"}
}

// CA is what a client must trust; empty without TLS.
func (s *S3Server) CA() string {
	if s.pki == nil {
		return ""
	}
	return s.pki.CA()
}

// Dir is where the data lies, one folder a bucket.
func (s *S3Server) Dir() string { return s.opts.Dir }

// Bucket makes one as both servers know it: a folder.
func (s *S3Server) Bucket(t testing.TB, name string) {
	t.Helper()
	must(t, os.Mkdir(filepath.Join(s.opts.Dir, name), 0o755))
}
