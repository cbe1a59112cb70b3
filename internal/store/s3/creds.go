package s3

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/interlock-run/interlock/internal/store"
)

// metadataLimit bounds a request to the machine's metadata service, which is absent on most machines.
const metadataLimit = 5 * time.Second

// newCredentials is AWS's chain, or one file. What has no time of expiry in a file is read anew for each
// request, so that changed keys are taken up.
func newCredentials(o Options, transport *http.Transport) *credentials.Credentials {
	if o.CredentialsFile != "" {
		return credentials.New(&chain{names: o.CredentialsFile, links: []credentials.Provider{
			&credentials.FileAWSCredentials{Filename: o.CredentialsFile, Profile: o.Profile},
		}})
	}
	role := &credentials.IAM{Region: o.Region, Client: &http.Client{Transport: transport, Timeout: metadataLimit}}
	return credentials.New(&chain{names: "AWS_ACCESS_KEY_ID, AWS's files, the machine's role", links: []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{Profile: o.Profile}, role,
	}})
}

// A chain takes the first that has any. minio-go's own falls back to anonymous requests, and a refusal of
// those names the wrong reason.
type chain struct {
	names string
	links []credentials.Provider
	found atomic.Pointer[credentials.Provider]
}

func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var why error
	for _, link := range c.links {
		value, err := link.RetrieveWithCredContext(cc)
		if err == nil && value.AccessKeyID != "" && value.SecretAccessKey != "" {
			c.found.Store(&link)
			return value, nil
		}
		if err == nil {
			err = errNoKeys
		}
		why = and(why, err)
	}
	if c.found.Load() != nil {
		return credentials.Value{}, fmt.Errorf("the store's credentials have expired, and there are no new ones: %w: %w",
			store.ErrUnreachable, why)
	}
	return credentials.Value{}, fmt.Errorf("no credentials for the store in %s: %w: %w", c.names, store.ErrCredentials, why)
}

var errNoKeys = errors.New("no pair of keys there")

// and adds a reason in the same line.
func and(all, more error) error {
	if all == nil {
		return more
	}
	return fmt.Errorf("%w; %w", all, more)
}

func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

func (c *chain) IsExpired() bool {
	link := c.found.Load()
	return link == nil || (*link).IsExpired()
}
