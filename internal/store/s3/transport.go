package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/store"
)

// connections kept open for the requests that are in flight at once.
const connections = 32

func newTransport(o Options) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: o.Stall, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   o.Stall,
		MaxIdleConnsPerHost:   connections,
		IdleConnTimeout:       30 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // lengths are those of the objects
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
	if o.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the store's authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the store's authorities %q: %w: expected certificates in PEM", o.CAFile, store.ErrUse)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// onlyS3 lets no page of a gateway or a login portal pass for a list: minio-go would read well-formed HTML
// as a list without objects.
type onlyS3 struct{ next http.RoundTripper }

var errNoS3 = errors.New("the answer does not come from an S3 server")

func (o onlyS3) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK || !req.URL.Query().Has("list-type") {
		return resp, err
	}
	if kind := resp.Header.Get("Content-Type"); !strings.Contains(kind, "xml") {
		return nil, errors.Join(fmt.Errorf("%w: a list of type %q", errNoS3, kind), resp.Body.Close())
	}
	return resp, nil
}
