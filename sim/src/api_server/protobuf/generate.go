// Writes numbers.txt: the protobuf numbers of the fields of the built-in kinds, by their JSON names.
//
//	cd tests/controlplane && go run ../../sim/src/api_server/protobuf/generate.go > ../../sim/src/api_server/protobuf/numbers.txt
package main

import (
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

var structs = map[string]reflect.Type{}

// As the OpenAPI documents name it: io.k8s.api.core.v1.Pod.
func name(t reflect.Type) string {
	path := strings.Replace(t.PkgPath(), "k8s.io/", "io.k8s.", 1)
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func find(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		find(t.Elem())
	case reflect.Struct:
		if _, known := structs[name(t)]; known || !strings.HasPrefix(t.PkgPath(), "k8s.io/") {
			return
		}
		structs[name(t)] = t
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				find(t.Field(i).Type)
			}
		}
	}
}

func main() {
	for _, group := range groups {
		for _, kind := range group.kinds {
			find(reflect.TypeOf(kind))
		}
	}
	names := []string{}
	for n := range structs {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		t := structs[n]
		lines := []string{}
		for i := range t.NumField() {
			field := t.Field(i)
			tag := strings.Split(field.Tag.Get("protobuf"), ",")
			if len(tag) < 2 {
				continue
			}
			json, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if json == "-" {
				continue
			}
			// What Go embeds is a message of its own, and no object in JSON.
			if field.Anonymous && json == "" {
				lines = append(lines, fmt.Sprintf(" %s embeds %s", tag[1], name(field.Type)))
				continue
			}
			lines = append(lines, fmt.Sprintf(" %s %s", tag[1], json))
		}
		if len(lines) > 0 {
			fmt.Println("type", n)
			fmt.Println(strings.Join(lines, "\n"))
		}
	}
}
