package zk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/lock"
)

// several joins errors in one line.
type several []error

func (s several) Error() string {
	var texts []string
	for _, err := range s {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (s several) Unwrap() []error { return s }

// passing joins errors that may pass, whatever kind each of them is.
type passing []error

func (p passing) Error() string { return several(p).Error() }

// Is keeps only what report asks for.
func (p passing) Is(target error) bool {
	return target == errRefused && errors.Is(several(p), errRefused)
}

// explain gives an error of a request its kind and says what to do about it.
func (d *driver) explain(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case known(err):
		return fmt.Errorf("%s: %s: %w", d.name, what, err)
	case errors.Is(err, errExpired), errors.Is(err, errStale), errors.Is(err, errNoPulse), errors.Is(err, errClosed):
		return d.errorf(lock.ErrPlaceLost, "%s: %w", what, err)
	case errors.Is(err, gozk.ErrNoAuth):
		return d.errorf(lock.ErrCredentials, "%s: %s: %w", what, d.ident.denied(), err)
	case errors.Is(err, gozk.ErrInvalidACL):
		return d.errorf(lock.ErrCredentials, "%s: the service took no identity from our certificate: enable its x509 authentication provider, or give --lock-user and --lock-password-file: %w", what, err)
	}
	return d.errorf(lock.ErrUnreachable, "%s: %w", what, err)
}

// known tells errors that have their kind already.
func known(err error) bool {
	for _, kind := range []error{lock.ErrUnreachable, lock.ErrCredentials, lock.ErrConfig, lock.ErrPlaceLost} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// definite tells errors that trying again on another connection cannot cure.
func definite(err error) bool {
	return errors.Is(err, lock.ErrCredentials) || errors.Is(err, lock.ErrConfig) || errors.Is(err, lock.ErrPlaceLost)
}
