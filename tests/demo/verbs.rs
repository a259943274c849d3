//! Each verb of kubectl does what it does on any cluster.

use std::time::Duration;

use careen_tests::{
    case::has_taint,
    demo::{Demo, split},
    kubectl::finish,
    objects::{condition, list, name_of, text, uid_of},
    wait::{check, soon},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

/// The words of each line.
fn table(printed: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    printed.lines().map(words).collect()
}

/// A namespace of that name with a Deployment `web` of two pods that are ready.
async fn with_web(demo: &Demo, namespace: &str) {
    demo.says(&format!("create namespace {namespace}")).await;
    demo.says(&format!("create deployment web --image=web --replicas=2 -n {namespace}")).await;
    demo.says(&format!("wait --for=condition=Available deployment/web -n {namespace} --timeout=60s")).await;
}

async fn web(demo: &Demo, namespace: &str) -> Value {
    demo.object(&format!("deployment web -n {namespace}")).await
}

pub async fn get_prints_the_tables_that_people_expect(demo: &Demo) {
    for (what, columns) in [
        ("nodes", "NAME STATUS ROLES AGE VERSION"),
        (
            "nodes -o wide",
            "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME",
        ),
        ("namespaces", "NAME STATUS AGE"),
        ("pods -n shop", "NAME READY STATUS RESTARTS AGE"),
        ("pods -A", "NAMESPACE NAME READY STATUS RESTARTS AGE"),
        ("pods -n shop -o wide", "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"),
        ("deployments -n shop", "NAME READY UP-TO-DATE AVAILABLE AGE"),
        ("deployments -n shop -o wide", "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR"),
        ("replicasets -n shop", "NAME DESIRED CURRENT READY AGE"),
        ("daemonsets -n kube-system", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE"),
        ("jobs -n shop", "NAME STATUS COMPLETIONS DURATION AGE"),
        ("pdb -n shop", "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE"),
        ("vm -n shop", "NAME AGE STATUS READY"),
        ("vmi -n shop", "NAME AGE PHASE IP NODENAME READY"),
        ("vmi -n shop -o wide", "NAME AGE PHASE IP NODENAME READY LIVE-MIGRATABLE PAUSED"),
        ("leases -n kube-node-lease", "NAME HOLDER AGE"),
        ("events -n office", "LAST SEEN TYPE REASON OBJECT MESSAGE"),
        ("crd", "NAME CREATED AT"),
    ] {
        assert_eq!(table(&demo.says(&format!("get {what}")).await)[0], columns, "kubectl get {what}");
    }
    let nodes = table(&demo.says("get nodes --no-headers").await);
    assert_eq!(nodes.len(), 6);
    assert!(nodes[1].starts_with("node02 Ready worker "), "{}", nodes[1]);
    let jobs = table(&demo.says("get jobs -n shop --no-headers").await);
    assert!(jobs[0].starts_with("nightly-backup Complete 1/1 "), "{}", jobs[0]);
    let budget = table(&demo.says("get pdb web -n shop --no-headers").await);
    assert!(budget[0].starts_with("web N/A 1 1 "), "{}", budget[0]);
    let vmi = table(&demo.says("get vmi licences -n office -o wide --no-headers").await);
    assert!(vmi[0].contains(" node03 True False"), "{}", vmi[0]);
    // The category `all`, of many kinds at once.
    let all = demo.says("get all -n shop -o name").await;
    for kind in ["pod/", "deployment.apps/", "replicaset.apps/", "job.batch/", "virtualmachine.kubevirt.io/"] {
        assert!(all.contains(kind), "{kind}: {all}");
    }
    assert_eq!(demo.kubectl("get nm", "").await.ok().stderr, "No resources found\n");
}

pub async fn get_prints_objects_and_selects_them(demo: &Demo) {
    let node = demo.object("node node02").await;
    assert_eq!((text(&node, "/kind"), name_of(&node), condition(&node, "Ready")), ("Node", "node02", "True"));
    let yaml = demo.says("get node node02 -o yaml").await;
    assert!(yaml.starts_with("apiVersion: v1\nkind: Node\nmetadata:\n"), "{yaml}");
    assert_eq!(demo.says("get node node02 -o name").await, "node/node02\n");
    assert_eq!(demo.says("get node node02 -o jsonpath={.metadata.name}").await, "node02");
    let columns = demo.says("get node node02 -o custom-columns=IT:.metadata.name").await;
    assert_eq!(columns, "IT\nnode02\n");
    let on_node02 = demo.says("get pods -A -o name --field-selector=spec.nodeName=node02").await;
    assert!(on_node02.contains("pod/registry-node02") && !on_node02.contains("licences"), "{on_node02}");
    assert_eq!(demo.objects("pods -n shop -l app=checkout").await.len(), 3);
    assert_eq!(demo.objects("pods -n shop -l app!=checkout,app=report --chunk-size=2").await.len(), 6);
    let sorted = demo.says("get vmi -n shop -o name --sort-by=.metadata.name").await;
    let vmi = |name: &str| format!("virtualmachineinstance.kubevirt.io/{name}\n");
    assert_eq!(sorted, ["cache", "db-1", "db-2"].map(vmi).concat());
    assert!(demo.says("get node node02 --show-labels").await.contains("kubernetes.io/hostname=node02"));
}

/// What a kubectl prints that goes on.
struct Watching {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn begin(demo: &Demo, arguments: &str) -> Self {
        let mut process = demo.kubectl.command(&split(arguments)).spawn().unwrap();
        let stdout = process.stdout.take().unwrap();
        Self { _process: process, lines: BufReader::new(stdout).lines() }
    }

    /// Waits for a line that begins so.
    async fn prints(&mut self, beginning: &str) {
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if table(&line)[0].starts_with(beginning) {
                    return;
                }
            }
            panic!("kubectl has ended before it printed {beginning:?}");
        };
        timeout(Duration::from_secs(30), read).await.unwrap_or_else(|_| panic!("it does not print {beginning:?}"));
    }
}

pub async fn get_watches(demo: &Demo) {
    demo.says("create namespace watched").await;
    demo.says("create configmap first --from-literal=a=b -n watched").await;
    let mut watching = Watching::begin(demo, "get configmaps -n watched --watch --output-watch-events");
    watching.prints("ADDED first 1").await;
    demo.says("create configmap second --from-literal=a=b -n watched").await;
    watching.prints("ADDED second 1").await;
    demo.says(r#"patch configmap second -n watched -p {"data":{"c":"d"}}"#).await;
    watching.prints("MODIFIED second 2").await;
    demo.says("delete configmap first -n watched").await;
    watching.prints("DELETED first 1").await;
}

pub async fn describe_says_what_there_is_to_know(demo: &Demo) {
    for (what, facts) in [
        ("node node02", &["Taints: <none>", "Unschedulable: false", "HolderIdentity: node02", "registry-node02"][..]),
        ("pdb web -n shop", &["Max unavailable: 1", "Allowed disruptions: 1", "Current: 12"]),
        ("deployment web -n shop", &["12 desired | 12 updated | 12 total | 12 available", "Available True"]),
        ("job nightly-backup -n shop", &["0 Active (0 Ready) / 1 Succeeded / 0 Failed"]),
        ("pod registry-node02 -n kube-system", &["Node: node02/", "kubernetes.io/config.source: file"]),
        ("vmi licences -n office", &["Node Name: node03", "Reason: DisksNotLiveMigratable", "SuccessfulCreate"]),
        (
            "crd nodemaintenances.nodemaintenance.kubevirt.io",
            &["Plural: nodemaintenances", "Reason: InitialNamesAccepted"],
        ),
    ] {
        let described = table(&demo.says(&format!("describe {what}")).await).join("\n");
        for fact in facts {
            assert!(described.contains(fact), "kubectl describe {what} does not say {fact:?}:\n{described}");
        }
    }
}

pub async fn apply_creates_changes_and_leaves_alone(demo: &Demo) {
    demo.says("create namespace applied").await;
    let manifest = |replicas: Value| {
        let labels = json!({"app": "web"});
        let spec = json!({"containers": [{"name": "main", "image": "web"}]});
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "applied"},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        })
    };
    let apply = async |manifest: &Value, options: &str| {
        demo.kubectl(&format!("apply -f - {options}"), &manifest.to_string()).await
    };
    let two = manifest(json!(2));
    let dry = apply(&two, "--dry-run=server").await.ok().stdout;
    assert_eq!(dry, "deployment.apps/web created (server dry run)\n");
    assert_eq!(apply(&two, "").await.ok().stdout, "deployment.apps/web created\n");
    assert_eq!(apply(&two, "").await.ok().stdout, "deployment.apps/web unchanged\n");
    let mut three = manifest(json!(3));
    assert_eq!(apply(&three, "").await.ok().stdout, "deployment.apps/web configured\n");
    assert_eq!(web(demo, "applied").await["spec"]["replicas"], 3);

    three["spec"]["replica"] = json!(3);
    let said = apply(&three, "").await.refused();
    assert!(said.contains("strict decoding error: unknown field \"spec.replica\""), "{said}");
    let warned = apply(&three, "--validate=warn").await.ok().stderr;
    assert!(warned.contains("Warning: unknown field \"spec.replica\""), "{warned}");
    let said = apply(&manifest(json!(-1)), "").await.refused();
    assert!(said.contains("spec.replicas: Invalid value: -1: must be greater than or equal to 0"), "{said}");

    let maintenance = "apiVersion: nodemaintenance.kubevirt.io/v1beta1\nkind: NodeMaintenance\nmetadata: {name: of-nobody}\n\
                       spec: {nodeName: no-such-node}\n";
    let applied = demo.kubectl("apply -f -", maintenance).await.ok().stdout;
    assert_eq!(applied, "nodemaintenance.nodemaintenance.kubevirt.io/of-nobody created\n");
    demo.says("wait --for=condition=Accepted=False nm/of-nobody --timeout=60s").await;
    assert_eq!(
        table(&demo.says("get nm").await)[0],
        "NAME NODE PHASE PROGRESS BLOCKED TICKET AGE",
        "the columns of the definition"
    );
    let changed = demo.kubectl("apply -f -", &maintenance.replace("no-such-node", "another")).await.refused();
    assert!(changed.contains("cannot be changed"), "{changed}");
    demo.says("delete nm of-nobody").await;
}

pub async fn create_makes_what_it_is_told_to(demo: &Demo) {
    with_web(demo, "created").await;
    for (what, made) in [
        ("configmap settings --from-literal=a=b", "configmap/settings created"),
        ("secret generic key --from-literal=a=b", "secret/key created"),
        ("serviceaccount robot", "serviceaccount/robot created"),
        ("job once --image=once", "job.batch/once created"),
        ("poddisruptionbudget web --selector=app=web --min-available=1", "poddisruptionbudget.policy/web created"),
        ("role reader --verb=get --resource=pods", "role.rbac.authorization.k8s.io/reader created"),
        ("service clusterip web --tcp=80", "service/web created"),
    ] {
        assert_eq!(demo.says(&format!("create {what} -n created")).await.trim_end(), made);
    }
    let again = demo.refuses("create configmap settings -n created").await;
    assert!(again.contains("configmaps \"settings\" already exists"), "{again}");
    let generated = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-", "namespace": "created"},
    });
    let made = demo.kubectl("create -f - -o name", &generated.to_string()).await.ok().stdout;
    assert!(made.starts_with("configmap/made-") && made.trim_end().len() == "configmap/made-".len() + 5, "{made}");
    soon("the budget counts its pods", async || {
        let budget = demo.object("pdb web -n created").await;
        check(budget["status"]["disruptionsAllowed"] == 1, || budget["status"].to_string())
    })
    .await;
}

pub async fn edit_changes_what_the_editor_changed(demo: &Demo) {
    demo.says("create namespace edited").await;
    demo.says("create configmap settings --from-literal=colour=green -n edited").await;
    let edit = async |editor: &str| {
        let mut command = demo.kubectl.command(&split("edit configmap settings -n edited"));
        command.env("KUBE_EDITOR", editor);
        finish(command, "").await.ok()
    };
    assert_eq!(edit("sed -i s/green/blue/").await.stdout, "configmap/settings edited\n");
    assert_eq!(demo.object("configmap settings -n edited").await["data"]["colour"], "blue");
    assert_eq!(edit("true").await.stderr, "Edit cancelled, no changes made.\n");
}

pub async fn patch_knows_three_ways(demo: &Demo) {
    with_web(demo, "patched").await;
    let patch = async |arguments: &str| demo.says(&format!("patch deployment web -n patched {arguments}")).await;
    // A strategic one merges containers by their names.
    let side = r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"side"}]}}}}"#;
    assert_eq!(patch(&format!("-p {side}")).await, "deployment.apps/web patched\n");
    assert_eq!(list(&web(demo, "patched").await, "/spec/template/spec/containers").len(), 2);
    // What its controller writes in the middle of a patch would be a change.
    demo.says("rollout status deployment/web -n patched --timeout=60s").await;
    assert_eq!(patch(&format!("-p {side}")).await, "deployment.apps/web patched (no change)\n");
    // A merge patch replaces lists.
    patch(&format!("--type=merge -p {side}")).await;
    assert_eq!(list(&web(demo, "patched").await, "/spec/template/spec/containers").len(), 1);
    patch(r#"--type=json -p [{"op":"replace","path":"/spec/replicas","value":1}]"#).await;
    assert_eq!(web(demo, "patched").await["spec"]["replicas"], 1);
    let status = r#"{"status":{"conditions":[{"type":"Tried","status":"True"}]}}"#;
    demo.says(&format!("patch node node06 --subresource=status -p {status}")).await;
    assert_eq!(condition(&demo.object("node node06").await, "Tried"), "True");
    let said = demo.refuses(r#"patch vmi mail -n office --type=json -p [{"op":"remove","path":"/none"}]"#).await;
    assert!(said.contains("the server rejected our request due to an error in our request"), "{said}");
}

pub async fn label_and_annotate_set_and_remove(demo: &Demo) {
    demo.says("create namespace labelled").await;
    demo.says("create configmap it -n labelled").await;
    let it = async || demo.object("configmap it -n labelled").await;
    for (verb, past, place) in
        [("label", "labeled", "/metadata/labels/tier"), ("annotate", "annotated", "/metadata/annotations/tier")]
    {
        let run = async |argument: &str| demo.says(&format!("{verb} configmap it -n labelled {argument}")).await;
        assert_eq!(run("tier=front").await, format!("configmap/it {past}\n"));
        assert_eq!(text(&it().await, place), "front");
        let said = demo.refuses(&format!("{verb} configmap it -n labelled tier=back")).await;
        assert!(said.contains("--overwrite is false"), "{said}");
        run("tier=back --overwrite").await;
        assert_eq!(text(&it().await, place), "back");
        run("tier-").await;
        assert_eq!(text(&it().await, place), "");
    }
    let said = demo.refuses("label configmap it -n labelled tier=a/b").await;
    assert!(said.contains("a valid label must be an empty string or consist of alphanumeric characters"), "{said}");
}

pub async fn scale_and_wait(demo: &Demo) {
    with_web(demo, "scaled").await;
    let said = demo.says("scale deployment web --replicas=3 --current-replicas=2 -n scaled").await;
    assert_eq!(said, "deployment.apps/web scaled\n");
    demo.says("wait --for=jsonpath={.status.readyReplicas}=3 deployment/web -n scaled --timeout=60s").await;
    let said = demo.refuses("scale deployment web --replicas=1 --current-replicas=2 -n scaled").await;
    assert!(said.contains("Expected replicas to be 2, was 3"), "{said}");
    let rolled = demo.says("rollout status deployment/web -n scaled --timeout=60s").await;
    assert!(rolled.contains("successfully rolled out"), "{rolled}");
    let said = demo.refuses("wait --for=condition=Lost deployment/web -n scaled --timeout=1s").await;
    assert!(said.contains("timed out waiting for the condition on deployments/web"), "{said}");
    let mut waiting = Watching::begin(demo, "wait --for=create configmap/late -n scaled --timeout=60s");
    demo.says("create configmap late -n scaled").await;
    waiting.prints("configmap/late condition met").await;
    demo.says("run lasting --image=lasting --annotations=sim.careen.dev/ends-after=8s -n scaled").await;
    demo.says("wait --for=condition=Ready pod/lasting -n scaled --timeout=60s").await;
    demo.says("delete pod lasting -n scaled --wait=false").await;
    let said = demo.says("wait --for=delete pod/lasting -n scaled --timeout=60s").await;
    assert_eq!(said, "pod/lasting condition met\n");
}

pub async fn delete_ends_objects_and_what_they_own(demo: &Demo) {
    with_web(demo, "deleted").await;
    let pods = async || demo.objects("pods -n deleted").await;
    let before: Vec<String> = pods().await.iter().map(|pod| uid_of(pod).to_owned()).collect();
    // It waits until the pod is gone; another comes.
    demo.says(&format!("delete pod {} -n deleted --grace-period=1", name_of(&pods().await[0]))).await;
    soon("another pod comes", async || {
        let now = pods().await;
        let left = now.iter().filter(|pod| before.iter().any(|uid| uid == uid_of(pod))).count();
        check((now.len(), left) == (2, 1), || format!("{}, {left} of them old", now.len()))
    })
    .await;
    // What it owned stays, without an owner.
    assert!(demo.says("delete deployment web -n deleted --cascade=orphan").await.contains("deleted"));
    let sets = demo.objects("replicasets -n deleted").await;
    assert_eq!((sets.len(), list(&sets[0], "/metadata/ownerReferences").len()), (1, 0));
    // In the foreground, it goes last.
    demo.says(&format!("delete replicaset {} -n deleted --cascade=foreground", name_of(&sets[0]))).await;
    assert_eq!(pods().await, [] as [Value; 0]);
    for name in ["one", "two", "three"] {
        demo.says(&format!("create configmap {name} -n deleted")).await;
    }
    demo.says("label configmap one two -n deleted group=a").await;
    demo.says("delete configmaps -l group=a -n deleted").await;
    assert_eq!(demo.says("get configmap three -n deleted -o name").await, "configmap/three\n");
    demo.says("delete namespace deleted").await;
    let said = demo.refuses("get namespace deleted").await;
    assert!(said.contains("namespaces \"deleted\" not found"), "{said}");
    let said = demo.refuses("delete configmap three -n deleted").await;
    assert!(said.contains("configmaps \"three\" not found"), "{said}");
    assert_eq!(demo.says("delete configmap three -n deleted --ignore-not-found").await, "");
}

pub async fn events_tell_what_happened(demo: &Demo) {
    let said = table(&demo.says("events -n office --for=vmi/mail").await);
    assert_eq!(said[0], "LAST SEEN TYPE REASON OBJECT MESSAGE");
    assert!(said[1].contains("Normal SuccessfulCreate VirtualMachineInstance/mail"), "{}", said[1]);
    assert!(demo.says("events -A --types=Normal").await.contains("VirtualMachine/mail"));
    let none = demo.kubectl("events -n kube-system --types=Warning", "").await.ok();
    assert!(none.stderr.contains("No events found"), "{}{}", none.stdout, none.stderr);
}

pub async fn api_resources_and_explain(demo: &Demo) {
    let resources = table(&demo.says("api-resources").await);
    for resource in [
        "nodes no v1 false Node",
        "deployments deploy apps/v1 true Deployment",
        "poddisruptionbudgets pdb policy/v1 true PodDisruptionBudget",
        "virtualmachineinstances vmi,vmis kubevirt.io/v1 true VirtualMachineInstance",
        "nodemaintenances nm nodemaintenance.kubevirt.io/v1beta1 false NodeMaintenance",
    ] {
        assert!(resources.iter().any(|line| line == resource), "{resource} is not in {resources:#?}");
    }
    let apps = demo.says("api-resources --api-group=apps -o name").await;
    assert_eq!(table(&apps).len(), 5, "{apps}");
    assert!(demo.says("api-versions").await.contains("nodemaintenance.kubevirt.io/v1beta1\n"));
    let drain = demo.says("explain nm.spec.drain").await;
    assert!(drain.contains("vmThatCannotMigrate") && drain.contains("How the node is drained"), "{drain}");
    let budget = demo.says("explain pdb.spec.maxUnavailable").await;
    assert!(budget.contains("KIND:       PodDisruptionBudget"), "{budget}");
}

pub async fn auth_can_i(demo: &Demo) {
    assert_eq!(demo.says("auth can-i create pods").await, "yes\n");
    assert_eq!(demo.says("auth can-i delete nodemaintenances.nodemaintenance.kubevirt.io").await, "yes\n");
    assert!(demo.says("auth can-i --list").await.contains("*.*"));
    assert!(demo.says("auth whoami").await.contains("kubernetes-admin"));
}

pub async fn cordon_and_uncordon(demo: &Demo) {
    assert_eq!(demo.says("cordon node06").await, "node/node06 cordoned\n");
    assert_eq!(demo.says("cordon node06").await, "node/node06 already cordoned\n");
    assert!(demo.says("get node node06").await.contains("Ready,SchedulingDisabled"));
    soon("the taint of a cordon comes", async || {
        let node = demo.object("node node06").await;
        check(has_taint(&node, "node.kubernetes.io/unschedulable"), || node["spec"].to_string())
    })
    .await;
    assert_eq!(demo.says("uncordon node06").await, "node/node06 uncordoned\n");
    soon("it goes", async || {
        let node = demo.object("node node06").await;
        check(!has_taint(&node, "node.kubernetes.io/unschedulable"), || node["spec"].to_string())
    })
    .await;
}
