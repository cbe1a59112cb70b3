package kubernetes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// decode reads a file of objects as strictly as the API server does when it is asked to: an unknown, a
// repeated or a wrongly capitalised field is an error.
func decode(text string) ([]runtime.Object, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), batchv1.AddToScheme(scheme), policyv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []runtime.Object
	documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(objects)+1, err)
		}
		objects = append(objects, object)
	}
}

// An example is one file: a StatefulSet and what belongs to it.
type example struct {
	set      appsv1.StatefulSet
	services []*corev1.Service
	budgets  []*policyv1.PodDisruptionBudget
	configs  []*corev1.ConfigMap
	image    *image // where the example brings a Dockerfile

	effective effective // what interlock makes of it
}

func newExample(text, dockerfile string) (*example, error) {
	objects, err := decode(text)
	if err != nil {
		return nil, err
	}
	e := &example{}
	sets := 0
	for _, object := range objects {
		switch o := object.(type) {
		case *appsv1.StatefulSet:
			e.set = *o
			sets++
		case *corev1.Service:
			e.services = append(e.services, o)
		case *policyv1.PodDisruptionBudget:
			e.budgets = append(e.budgets, o)
		case *corev1.ConfigMap:
			e.configs = append(e.configs, o)
		default:
			return nil, fmt.Errorf("a %T: no rule here looks at it", o)
		}
	}
	if n := len(e.pod().Containers); sets != 1 || n != 1 {
		return nil, fmt.Errorf("%d StatefulSets, %d containers: expected one, with one container", sets, n)
	}
	if dockerfile != "" {
		e.image, err = parseImage(dockerfile)
	}
	return e, err
}

func (e *example) pod() *corev1.PodSpec         { return &e.set.Spec.Template.Spec }
func (e *example) container() *corev1.Container { return &e.pod().Containers[0] }
func (e *example) labels() map[string]string    { return e.set.Spec.Template.Labels }

func (e *example) volume(name string) *corev1.Volume {
	for i, v := range e.pod().Volumes {
		if v.Name == name {
			return &e.pod().Volumes[i]
		}
	}
	return nil
}

func (e *example) claims(name string) bool {
	for _, c := range e.set.Spec.VolumeClaimTemplates {
		if c.Name == name {
			return true
		}
	}
	return false
}
