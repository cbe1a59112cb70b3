package s3

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/storetest"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

func TestSuite(t *testing.T) { t.Parallel(); suite(t, testkit.S3(t, testkit.S3Options{})) }

func TestSuiteTLS(t *testing.T) { t.Parallel(); suite(t, testkit.S3(t, testkit.S3Options{TLS: true})) }

func TestSuiteMinIO(t *testing.T) { t.Parallel(); suite(t, testkit.MinIO(t, testkit.S3Options{})) }

// suite gives each test a prefix of its own in one bucket.
func suite(t *testing.T, server *testkit.S3Server) {
	server.Bucket(t, "bucket")
	var n atomic.Int32
	storetest.Run(t, storetest.Harness{Fresh: func(t *testing.T) func() store.Store {
		o := options(t, server)
		o.Prefix = fmt.Sprintf("some/prefix-%d", n.Add(1))
		return func() store.Store { return open(t, o) }
	}})
}

// options for a server's bucket "bucket".
func options(t *testing.T, s *testkit.S3Server) Options {
	return Options{Bucket: "bucket", Endpoint: s.Endpoint(), Region: s.Region, PathStyle: true, CAFile: s.CA(),
		CredentialsFile: keys(t, s.AccessKey, s.SecretKey), Stall: 20 * time.Second, Patience: 20 * time.Second}
}

// keys writes a credentials file as AWS's tools do.
func keys(t *testing.T, access, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", access, secret)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, o Options) *S3 {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
