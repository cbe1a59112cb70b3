package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// PKI is a throw-away certificate authority in a folder of its own.
type PKI struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is one certificate and its key, as paths of PEM files.
type Pair struct{ Cert, Key string }

// NewPKI makes an authority that no server trusts: for wrong-CA tests.
func NewPKI(t testing.TB) *PKI {
	t.Helper()
	p, err := newPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// CA is the path of the authority's certificate.
func (p *PKI) CA() string { return filepath.Join(p.dir, "ca.pem") }

// Issue makes a certificate for localhost, 127.0.0.1 and ::1 with the given
// common name, good for servers and clients.
func (p *PKI) Issue(t testing.TB, cn string) Pair {
	t.Helper()
	pair, err := p.issue(cn)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newPKI(dir string) (*PKI, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make the test authority's key: %w", err)
	}
	tpl := template("interlock-test-ca")
	tpl.IsCA, tpl.BasicConstraintsValid = true, true
	tpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the test authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	p := &PKI{dir: dir, cert: cert, key: key}
	return p, os.WriteFile(p.CA(), block("CERTIFICATE", der), 0o644)
}

func (p *PKI) issue(cn string) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot make the key of %s: %w", cn, err)
	}
	tpl := template(cn)
	tpl.KeyUsage = x509.KeyUsageDigitalSignature
	tpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	tpl.DNSNames = []string{"localhost"}
	tpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, tpl, p.cert, &key.PublicKey, p.key)
	if err != nil {
		return Pair{}, fmt.Errorf("cannot sign the certificate of %s: %w", cn, err)
	}
	return p.save(cn, der, key)
}

func (p *PKI) save(cn string, der []byte, key *ecdsa.PrivateKey) (Pair, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	pair := Pair{Cert: filepath.Join(p.dir, cn+".crt"), Key: filepath.Join(p.dir, cn+".key")}
	if err := os.WriteFile(pair.Key, block("PRIVATE KEY", raw), 0o600); err != nil {
		return Pair{}, err
	}
	return pair, os.WriteFile(pair.Cert, block("CERTIFICATE", der), 0o644)
}

// bundle writes certificate and key into one file, as ZooKeeper wants it.
func (p Pair) bundle(path string) error {
	var all []byte
	for _, part := range []string{p.Cert, p.Key} {
		raw, err := os.ReadFile(part)
		if err != nil {
			return err
		}
		all = append(all, raw...)
	}
	return os.WriteFile(path, all, 0o600)
}

func template(cn string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		serial = big.NewInt(time.Now().UnixNano())
	}
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour)}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
