package fault

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/field"
)

// errNone says that no fault fits now, which a healthy field never leads to.
var errNone = errors.New("no fault fits this field")

// A Plan is what one seed does: one fault, or two at once.
type Plan struct {
	Seed  uint64
	Parts []Part
}

// A Part is one fault of a plan.
type Part struct {
	Fault Fault
	Env   *Env
}

// combined is the part of seeds that draw two faults at once.
const combined = 0.25

// Draw makes the plan of a seed for the field as it is now. Only those in names are drawn, all if there are
// none.
func Draw(f *field.Field, seed uint64, names []string) (Plan, error) {
	r := rand.New(rand.NewPCG(seed, backendNumber(f.Backend)))
	p := Plan{Seed: seed}
	first, err := part(f, r, names, nil)
	if err != nil {
		return p, err
	}
	p.Parts = append(p.Parts, first)
	if r.Float64() >= combined || len(names) == 1 || first.Fault.Class == Alone {
		return p, nil
	}
	second, err := part(f, r, names, &first)
	if errors.Is(err, errNone) {
		return p, nil
	}
	p.Parts = append(p.Parts, second)
	return p, err
}

func backendNumber(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes all
	return h.Sum64()
}

// part draws a fault and its victim: a waiting one sometimes, the holder where no fault fits such a one, and
// a waiting one again where none fits the holder either, as in a short list beside a holder in a cgroup.
func part(f *field.Field, r *rand.Rand, names []string, beside *Part) (Part, error) {
	e := &Env{Field: f, Rand: rand.New(rand.NewPCG(r.Uint64(), r.Uint64())), Scale: float64(f.Timing.Hold) / float64(2*time.Second)}
	for _, holder := range []bool{r.Float64() < onHolder, true, false} {
		if err := e.aim(holder); err != nil {
			return Part{}, err
		}
		if fit, total := fitting(e, names, beside); total > 0 {
			return e.choose(fit, r.IntN(total)), nil
		}
	}
	return Part{}, errNone
}

func fitting(e *Env, names []string, beside *Part) (fit []Fault, total int) {
	for _, one := range All() {
		wanted := len(names) == 0 || slices.Contains(names, one.Name)
		if wanted && (one.Fits == nil || one.Fits(e)) && !clash(one, beside) {
			fit = append(fit, one)
			total += one.Weight
		}
	}
	return fit, total
}

// choose takes the fault at a point of the sum of all weights, and how long it lasts.
func (e *Env) choose(fit []Fault, at int) Part {
	i := slices.IndexFunc(fit, func(one Fault) bool { at -= one.Weight; return at < 0 })
	e.Length = between(e, fit[i].Min, fit[i].Max)
	if fit[i].Name != stopBoth {
		e.Length = e.scaled(e.Length)
	}
	return Part{fit[i], e}
}

// scaled makes a time that is meant for a hold of 2 s as long against the hold there is.
func (e *Env) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * e.Scale) }

// clash: two faults that take watchers away are one too many, and the same twice is one.
func clash(one Fault, beside *Part) bool {
	if beside == nil {
		return false
	}
	return one.Name == beside.Fault.Name || one.Class == Alone || one.Class == Watcher && beside.Fault.Class == Watcher
}

// onHolder is how often the victim is who holds the lock.
const onHolder = 0.8

// aim picks the victim.
func (e *Env) aim(holder bool) error {
	h, err := e.Field.Holder()
	if err != nil {
		return err
	}
	e.Target, e.Holds = h, true
	if holder {
		return nil
	}
	for _, k := range e.Rand.Perm(len(e.Field.Contenders)) {
		if r, ok := e.Field.Contenders[k].Now(); ok && r.Host != h.Host {
			e.Target, e.Holds = r, false
			return nil
		}
	}
	return nil
}
