// Writes go_types.txt: what the Go types of the built-in kinds say of every field, which is what decides how a real API
// server reads an object and how a strategic merge patch is applied.
//
//	cd tests/controlplane && go run ../../sim/src/api_server/schema/types/generate.go > ../../sim/src/api_server/schema/types/go_types.txt
package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var groups = []struct {
	group string
	kinds []any
}{
	{"", []any{corev1.Namespace{}, corev1.Node{}, corev1.Pod{}, corev1.Event{}, corev1.ConfigMap{}, corev1.Secret{}, corev1.Service{}, corev1.ServiceAccount{}, corev1.PersistentVolume{}, corev1.PersistentVolumeClaim{}, corev1.ReplicationController{}, corev1.Endpoints{}, corev1.LimitRange{}, corev1.ResourceQuota{}, corev1.Binding{}}},
	{"events.k8s.io", []any{eventsv1.Event{}}},
	{"apps", []any{appsv1.Deployment{}, appsv1.ReplicaSet{}, appsv1.DaemonSet{}, appsv1.StatefulSet{}, appsv1.ControllerRevision{}}},
	{"batch", []any{batchv1.Job{}, batchv1.CronJob{}}},
	{"policy", []any{policyv1.PodDisruptionBudget{}, policyv1.Eviction{}}},
	{"coordination.k8s.io", []any{coordinationv1.Lease{}}},
	{"apiextensions.k8s.io", []any{apiextensionsv1.CustomResourceDefinition{}}},
	{"rbac.authorization.k8s.io", []any{rbacv1.Role{}, rbacv1.ClusterRole{}, rbacv1.RoleBinding{}, rbacv1.ClusterRoleBinding{}}},
	{"scheduling.k8s.io", []any{schedulingv1.PriorityClass{}}},
	{"storage.k8s.io", []any{storagev1.StorageClass{}}},
	{"admissionregistration.k8s.io", []any{admissionregistrationv1.ValidatingWebhookConfiguration{}, admissionregistrationv1.MutatingWebhookConfiguration{}}},
	{"autoscaling", []any{autoscalingv1.Scale{}}},
	{"authentication.k8s.io", []any{authenticationv1.TokenReview{}, authenticationv1.SelfSubjectReview{}, authenticationv1.TokenRequest{}}},
	{"authorization.k8s.io", []any{authorizationv1.SubjectAccessReview{}, authorizationv1.SelfSubjectAccessReview{}, authorizationv1.LocalSubjectAccessReview{}, authorizationv1.SelfSubjectRulesReview{}}},
	{"meta.k8s.io", []any{metav1.DeleteOptions{}}},
}

var (
	structs     = map[string]reflect.Type{}
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

// As the OpenAPI documents name it: io.k8s.api.core.v1.Pod.
func name(t reflect.Type) string {
	path := strings.Replace(t.PkgPath(), "k8s.io/", "io.k8s.", 1)
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

// How a field is written: Go's own notation, with full names. A named string is string:v1.RestartPolicy, a type that reads
// itself is special:NAME.
func notation(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return "*" + notation(t.Elem())
	case reflect.PointerTo(t).Implements(unmarshaler):
		for _, of := range inside[t.Name()] {
			notation(of)
		}
		return "special:" + name(t)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "bytes"
	case t.Kind() == reflect.Slice:
		return "[]" + notation(t.Elem())
	case t.Kind() == reflect.Map:
		return "map:" + notation(t.Elem())
	case t.Kind() == reflect.Struct:
		structs[name(t)] = t
		return name(t)
	case t.PkgPath() != "":
		return t.Kind().String() + ":" + t.String()
	default:
		return t.Kind().String()
	}
}

// What types that read themselves hold.
var inside = map[string][]reflect.Type{
	"JSONSchemaPropsOrBool":        {reflect.TypeFor[apiextensionsv1.JSONSchemaProps]()},
	"JSONSchemaPropsOrArray":       {reflect.TypeFor[apiextensionsv1.JSONSchemaProps]()},
	"JSONSchemaPropsOrStringArray": {reflect.TypeFor[apiextensionsv1.JSONSchemaProps]()},
}

func fields(t reflect.Type, print bool) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && tag == "" {
			fields(field.Type, print)
			continue
		}
		if tag == "-" || !field.IsExported() {
			continue
		}
		of := notation(field.Type)
		if print {
			keep := "always"
			if strings.Contains(options, "omitempty") {
				keep = "omitempty"
			}
			if strings.Contains(options, "omitzero") {
				keep = "omitzero"
			}
			line := fmt.Sprintf(" %s %s %s", tag, of, keep)
			if strategy := field.Tag.Get("patchStrategy"); strategy != "" {
				line += " strategy=" + strategy
			}
			if key := field.Tag.Get("patchMergeKey"); key != "" {
				line += " key=" + key
			}
			fmt.Println(line)
		}
	}
}

func main() {
	for _, group := range groups {
		for _, kind := range group.kinds {
			t := reflect.TypeOf(kind)
			notation(t)
			g := group.group
			if g == "" {
				g = "core"
			}
			fmt.Println("kind", g, "v1", t.Name(), name(t))
		}
	}
	for before := -1; before != len(structs); {
		before = len(structs)
		known := []reflect.Type{}
		for _, t := range structs {
			known = append(known, t)
		}
		for _, t := range known {
			fields(t, false)
		}
	}
	names := []string{}
	for n := range structs {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Println("type", n)
		fields(structs[n], true)
	}
}
