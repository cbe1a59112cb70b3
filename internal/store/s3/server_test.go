package s3

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/testkit"
)

// brief is a store with little patience.
func brief(t *testing.T, o Options) *S3 {
	o.Stall, o.Patience = 3*time.Second, time.Second
	return open(t, o)
}

// everything wants one kind of error from each call, and never "absent".
func everything(t *testing.T, s *S3, want error) {
	t.Helper()
	check := func(err error, what string) {
		t.Helper()
		wants(t, err, want, what)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) {
			t.Fatalf("%s is taken for an answer about the object: %v", what, err)
		}
	}
	check(s.Create(t.Context(), "a", []byte("x")), "create")
	check(s.Put(t.Context(), "a", strings.NewReader("x"), 1), "put")
	check(s.Delete(t.Context(), "a"), "delete")
	_, err := s.Get(t.Context(), "a", 0, -1)
	check(err, "get")
	check(store.Probe(t.Context(), s), "probe")
	err = errors.New("list gave nothing, as for an empty repository")
	for _, err = range s.List(t.Context(), "", "") {
		break
	}
	check(err, "list")
}

func TestRefused(t *testing.T) {
	t.Parallel()
	server := testkit.S3(t, testkit.S3Options{})
	server.Bucket(t, "bucket")
	good := options(t, server)
	for name, change := range map[string]func(*Options){
		"secret":  func(o *Options) { o.CredentialsFile = keys(t, server.AccessKey, "wrong") },
		"user":    func(o *Options) { o.CredentialsFile = keys(t, "nobody", server.SecretKey) },
		"no file": func(o *Options) { o.CredentialsFile = filepath.Join(t.TempDir(), "absent") },
		"profile": func(o *Options) { o.Profile = "other" },
		"no keys": func(o *Options) { o.CredentialsFile = keys(t, "", "") },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			s := brief(t, o)
			everything(t, s, store.ErrCredentials)
			err := s.Create(t.Context(), "a", []byte("x"))
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "%!") {
				t.Errorf("%q: expected one line", text)
			}
			if name == "no file" && !strings.Contains(err.Error(), o.CredentialsFile) {
				t.Errorf("the error does not name the file: %v", err)
			}
		})
	}
	t.Run("bucket", func(t *testing.T) {
		o := good
		o.Bucket = "misspelt"
		everything(t, brief(t, o), store.ErrNoPlace)
	})
	t.Run("new keys", func(t *testing.T) {
		o := good
		o.CredentialsFile = keys(t, server.AccessKey, "old")
		s := brief(t, o)
		wants(t, s.Create(t.Context(), "a", []byte("x")), store.ErrCredentials, "create with old keys")
		fresh, err := os.ReadFile(keys(t, server.AccessKey, server.SecretKey))
		if err == nil {
			err = os.WriteFile(o.CredentialsFile, fresh, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Create(t.Context(), "a", []byte("x")); err != nil {
			t.Fatalf("create with the new keys in the file: %v", err)
		}
	})
}

// TestEnvironment: AWS's variables are the chain's first link, and its region is taken too.
func TestEnvironment(t *testing.T) {
	server := testkit.S3(t, testkit.S3Options{})
	server.Bucket(t, "bucket")
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	t.Setenv("AWS_REGION", server.Region)
	o := options(t, server)
	o.CredentialsFile, o.Region = "", ""
	s := brief(t, o)
	if err := s.Create(t.Context(), "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	t.Run("nowhere", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("HOME", t.TempDir())
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		err := brief(t, o).Create(t.Context(), "c", []byte("x"))
		wants(t, err, store.ErrCredentials, "create without keys anywhere")
		if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "%!") {
			t.Errorf("%q: expected one line", text)
		}
	})
	t.Setenv("AWS_REGION", "eu-west-9")
	if err := brief(t, o).Create(t.Context(), "b", []byte("x")); err == nil || !strings.Contains(err.Error(), server.Region) {
		t.Fatalf("create in a wrong region gave %v: expected one that names the right one", err)
	}
}

// TestRole: what a container's or a machine's role gives is the last link.
func TestRole(t *testing.T) {
	server := testkit.S3(t, testkit.S3Options{})
	server.Bucket(t, "bucket")
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":"","Expiration":"2099-01-01T00:00:00Z"}`,
			server.AccessKey, server.SecretKey)
	}))
	t.Cleanup(role.Close)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	o := options(t, server)
	o.CredentialsFile = ""
	if err := brief(t, o).Create(t.Context(), "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	role.Close()
	err := brief(t, o).Create(t.Context(), "b", []byte("x"))
	wants(t, err, store.ErrCredentials, "create without any credentials")
	if errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("nothing was sent, yet: %v", err)
	}
}

// TestGone: a server that is not there, and one that comes back.
func TestGone(t *testing.T) {
	t.Parallel()
	server := testkit.S3(t, testkit.S3Options{})
	server.Bucket(t, "bucket")
	s := brief(t, options(t, server))
	if err := s.Create(t.Context(), "kept", []byte("x")); err != nil {
		t.Fatal(err)
	}
	server.Kill(t)
	everything(t, s, store.ErrUnreachable)
	server.Start(t)
	if got, err := store.ReadAll(t.Context(), s, "kept", 10); err != nil || string(got) != "x" {
		t.Fatalf("after the server's return the object holds %q, %v", got, err)
	}
	server.Pause(t)
	_, err := s.Get(t.Context(), "kept", 0, -1)
	wants(t, err, store.ErrUnreachable, "get from a stopped server")
	large := bytes.Repeat([]byte("stop"), 4<<20)
	wants(t, s.Put(t.Context(), "large", bytes.NewReader(large), int64(len(large))), errStalled, "put to a stopped server")
	server.Resume(t)
	if err := s.Create(t.Context(), "new", []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// TestTLS: a server that we have no reason to trust is named as that, and is not asked twice.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := testkit.S3(t, testkit.S3Options{TLS: true})
	server.Bucket(t, "bucket")
	good := options(t, server)
	for name, change := range map[string]func(*Options){
		"other authority": func(o *Options) { o.CAFile = testkit.NewPKI(t).CA() },
		"no authority":    func(o *Options) { o.CAFile = "" },
		"plain http":      func(o *Options) { o.Endpoint = strings.Replace(o.Endpoint, "https", "http", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			err := brief(t, o).Create(t.Context(), "a", []byte("x"))
			if err == nil {
				t.Fatal("create went well")
			}
			if name != "plain http" {
				wants(t, err, store.ErrUnreachable, "create")
				if !strings.Contains(err.Error(), "authority") || errors.Is(err, store.ErrAmbiguous) {
					t.Errorf("the error is %v: expected one that names the authority, and that nothing was done", err)
				}
			}
		})
	}
	plain := testkit.S3(t, testkit.S3Options{})
	o := good
	o.Endpoint = strings.Replace(plain.Endpoint(), "http", "https", 1)
	wants(t, brief(t, o).Create(t.Context(), "a", []byte("x")), store.ErrUnreachable, "https to a server of http")
	o = good
	o.CAFile = filepath.Join(t.TempDir(), "absent")
	if _, err := Open(o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open with an absent CA file gave %v", err)
	}
}

// TestFull: the server's disk is full.
func TestFull(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	place := t.TempDir()
	if err := unix.Mount("tmpfs", place, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(place, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	server := testkit.S3(t, testkit.S3Options{Dir: place})
	server.Bucket(t, "bucket")
	s := brief(t, options(t, server))
	if err := s.Create(t.Context(), "kept", []byte("x")); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("full"), 4<<20)
	wants(t, s.Create(t.Context(), "a", large), store.ErrFull, "create")
	wants(t, s.Put(t.Context(), "a", bytes.NewReader(large), int64(len(large))), store.ErrFull, "put")
	_, err := s.Get(t.Context(), "a", 0, -1)
	wants(t, err, store.ErrNotFound, "get of what had no room")
	if err := s.Create(t.Context(), "small", []byte("fits")); err != nil {
		t.Fatalf("create of what fits: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {Bucket: "b", Prefix: "/x"}, {Bucket: "b", Prefix: "x/"}, {Bucket: "b", Endpoint: "host:9000"}, {Bucket: "b", Endpoint: "ftp://host"},
		{Bucket: "b", Endpoint: "http://host/path"}, {Bucket: "b", Endpoint: "http://key:secret@host"}, {Bucket: "b", Endpoint: "http://"},
	} {
		if s, err := Open(o); !errors.Is(err, store.ErrUse) {
			t.Errorf("%+v gave %v, %v", o, s, err)
		}
	}
}
