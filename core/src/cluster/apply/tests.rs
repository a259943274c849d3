use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    maintenance::NodeMaintenance,
    model::{
        Budget, Node, ObjectKey, Pod,
        testing::{budget, maintenance, migration, node, node_name, pod, vm, vmi},
        virtual_machine::{
            KubeVirtConfiguration, Migration, MigrationPhase, MigrationState, VirtualMachine, VirtualMachineInstance,
        },
    },
};

const NODES: [&str; 3] = ["node01", "node02", "node03"];
const NAMESPACES: [&str; 2] = ["shop", "lab"];
const NAMES: [&str; 3] = ["a", "b", "c"];

/// What one watch brings.
#[derive(Clone, Debug)]
enum Op<K: Kept> {
    Put(K),
    Take(K::Key),
    Replace(Part, Vec<K>, BTreeSet<K::Key>),
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a history has some dozens")]
enum AnyOp {
    Node(Op<Node>),
    Pod(Op<Pod>),
    Budget(Op<Budget>),
    Maintenance(Op<NodeMaintenance>),
    Vm(Op<VirtualMachine>),
    Vmi(Op<VirtualMachineInstance>),
    Migration(Op<Migration>),
}

/// The objects, and nothing else: every lookup is a search.
#[derive(Default)]
struct Objects {
    nodes: BTreeMap<NodeName, Node>,
    pods: BTreeMap<ObjectKey, Pod>,
    budgets: BTreeMap<ObjectKey, Budget>,
    maintenances: BTreeMap<String, NodeMaintenance>,
    vms: BTreeMap<ObjectKey, VirtualMachine>,
    vmis: BTreeMap<ObjectKey, VirtualMachineInstance>,
    migrations: BTreeMap<ObjectKey, Migration>,
}

/// Does the same to the snapshot and to the objects.
fn perform<K: Kept>(
    snapshot: &mut Snapshot,
    objects: &mut BTreeMap<K::Key, K>,
    op: Op<K>,
    belongs: impl Fn(&K, &Part) -> bool,
) -> Concerned {
    match op {
        Op::Put(object) => {
            objects.insert(object.key(), object.clone());
            snapshot.put(object)
        }
        Op::Take(key) => {
            objects.remove(&key);
            snapshot.take::<K>(&key)
        }
        Op::Replace(part, list, keep) => {
            objects.retain(|key, object| !belongs(object, &part) || keep.contains(key));
            objects.extend(list.iter().map(|object| (object.key(), object.clone())));
            snapshot.replace(&part, list, &keep)
        }
    }
}

fn of_namespace(key: &ObjectKey, part: &Part) -> bool {
    !matches!(part, Part::Namespace(namespace) if *namespace != key.namespace)
}

impl Objects {
    fn perform(&mut self, snapshot: &mut Snapshot, op: AnyOp) -> Concerned {
        match op {
            AnyOp::Node(op) => perform(snapshot, &mut self.nodes, op, |node, part| match part {
                Part::Node(name) => node.name == *name,
                _ => true,
            }),
            AnyOp::Pod(op) => perform(snapshot, &mut self.pods, op, |pod, part| match part {
                Part::Node(name) => pod.node.as_ref() == Some(name),
                part => of_namespace(&pod.key, part),
            }),
            AnyOp::Budget(op) => {
                perform(snapshot, &mut self.budgets, op, |budget, part| of_namespace(&budget.key, part))
            }
            AnyOp::Maintenance(op) => perform(snapshot, &mut self.maintenances, op, |_, _| true),
            AnyOp::Vm(op) => perform(snapshot, &mut self.vms, op, |vm, part| of_namespace(&vm.key, part)),
            AnyOp::Vmi(op) => perform(snapshot, &mut self.vmis, op, |vmi, part| of_namespace(&vmi.key, part)),
            AnyOp::Migration(op) => {
                perform(snapshot, &mut self.migrations, op, |migration, part| of_namespace(&migration.key, part))
            }
        }
    }

    fn pods_on(&self, node: &NodeName) -> Vec<Uid> {
        self.pods.values().filter(|pod| pod.node.as_ref() == Some(node)).map(|pod| pod.uid.clone()).collect()
    }

    fn vmis_on<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = &'a VirtualMachineInstance> {
        self.vmis.values().filter(move |vmi| vmi.node.as_ref() == Some(node))
    }

    fn migrations_of(&self, vmi: &ObjectKey) -> Vec<Uid> {
        let of_vmi =
            |migration: &&Migration| migration.vmi_name == vmi.name && migration.key.namespace == vmi.namespace;
        self.migrations.values().filter(of_vmi).map(|migration| migration.uid.clone()).collect()
    }

    /// Everything that somebody who drains that node looks at, but for what concerns everybody.
    fn around(&self, node: &NodeName) -> String {
        let vms = self.vmis_on(node).map(|vmi| {
            (&vmi.uid, self.vms.get(&vmi.key).map(|vm| &vm.uid), self.migrations_of(&vmi.key), &vmi.migration_state)
        });
        let arriving = self.vmis.values().filter(|vmi| target_of(vmi) == Some(node.as_str()));
        let arriving = arriving.map(|vmi| (&vmi.uid, self.migrations_of(&vmi.key)));
        let maintenances = self.maintenances.values().filter(|object| object.spec.node_name == node.as_str());
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            self.nodes.get(node).map(|node| &node.uid),
            self.pods_on(node),
            vms.collect::<Vec<_>>(),
            arriving.collect::<Vec<_>>(),
            maintenances.map(|object| &object.metadata.uid).collect::<Vec<_>>(),
        )
    }

    /// Every lookup in the snapshot finds what a search finds.
    fn check(&self, snapshot: &Snapshot) {
        assert_eq!(uids(snapshot.nodes(), |node| &node.uid), uids(self.nodes.values(), |node| &node.uid));
        assert_eq!(uids(snapshot.pods(), |pod| &pod.uid), uids(self.pods.values(), |pod| &pod.uid));
        let all = snapshot.maintenances().map(|object| object.metadata.uid.clone()).collect::<Vec<_>>();
        assert_eq!(all, self.maintenances.values().map(|object| object.metadata.uid.clone()).collect::<Vec<_>>());
        assert_eq!(
            uids(snapshot.virtual_machine_instances(), |vmi| &vmi.uid),
            uids(self.vmis.values(), |vmi| &vmi.uid)
        );
        assert_eq!(uids(snapshot.migrations(), |m| &m.uid), uids(self.migrations.values(), |m| &m.uid));
        for name in NODES.map(node_name) {
            assert_eq!(snapshot.node(&name).map(|node| &node.uid), self.nodes.get(&name).map(|node| &node.uid));
            assert_eq!(uids(snapshot.pods_on(&name), |pod| &pod.uid), self.pods_on(&name));
            let on_node = uids(self.vmis_on(&name), |vmi| &vmi.uid);
            assert_eq!(uids(snapshot.virtual_machine_instances_on(&name), |vmi| &vmi.uid), on_node);
        }
        for key in NAMESPACES.into_iter().flat_map(|namespace| NAMES.map(|name| ObjectKey::new(namespace, name))) {
            self.check_key(snapshot, &key);
        }
        assert!(snapshot.pods_by_node.values().all(|pods| !pods.is_empty()), "an index keeps no empty entries");
        assert!(snapshot.vmis_by_node.values().all(|vmis| !vmis.is_empty()), "an index keeps no empty entries");
        assert!(snapshot.migrations_by_vmi.values().all(|all| !all.is_empty()), "an index keeps no empty entries");
    }

    fn check_key(&self, snapshot: &Snapshot, key: &ObjectKey) {
        assert_eq!(snapshot.pod(key).map(|pod| &pod.uid), self.pods.get(key).map(|pod| &pod.uid));
        assert_eq!(snapshot.budget(key).map(|budget| &budget.uid), self.budgets.get(key).map(|budget| &budget.uid));
        assert_eq!(snapshot.virtual_machine(key).map(|vm| &vm.uid), self.vms.get(key).map(|vm| &vm.uid));
        let vmi = snapshot.virtual_machine_instance(key);
        assert_eq!(vmi.map(|vmi| &vmi.uid), self.vmis.get(key).map(|vmi| &vmi.uid));
        assert_eq!(uids(snapshot.migrations_of(key), |migration| &migration.uid), self.migrations_of(key));
        let unfinished = snapshot.unfinished_migration_of(key).map(|migration| &migration.uid);
        let expected = self
            .migrations_of(key)
            .into_iter()
            .find(|uid| self.migrations.values().any(|migration| migration.uid == *uid && !migration.is_finished()));
        assert_eq!(unfinished, expected.as_ref());
        if let Some(pod) = self.pods.get(key) {
            let covers = |budget: &&Budget| budget.key.namespace == pod.key.namespace && budget.covers(pod);
            let expected = uids(self.budgets.values().filter(covers), |budget| &budget.uid);
            assert_eq!(uids(snapshot.budgets_covering(pod), |budget| &budget.uid), expected);
        }
    }
}

fn target_of(vmi: &VirtualMachineInstance) -> Option<&str> {
    vmi.migration_state.as_ref().and_then(|state| state.target_node.as_deref())
}

fn uids<T>(objects: impl IntoIterator<Item = T>, uid: impl Fn(&T) -> &Uid) -> Vec<Uid> {
    objects.into_iter().map(|object| uid(&object).clone()).collect()
}

fn key() -> impl Strategy<Value = ObjectKey> {
    let (namespaces, names) = (prop::sample::select(&NAMESPACES[..]), prop::sample::select(&NAMES[..]));
    (namespaces, names).prop_map(|(namespace, name)| ObjectKey::new(namespace, name))
}

fn a_node() -> impl Strategy<Value = NodeName> {
    prop::sample::select(&NODES[..]).prop_map(node_name)
}

/// Every version of an object is told from the others by its UID.
fn version() -> impl Strategy<Value = Uid> {
    (0..1_000_000_u32).prop_map(|n| Uid(format!("version-{n}")))
}

fn pods() -> impl Strategy<Value = Pod> {
    (key(), prop::option::of(a_node()), version(), prop::bool::ANY).prop_map(|(key, node, uid, labelled)| {
        let pod = pod(&key.namespace, &key.name);
        let pod = if labelled { pod.label("app", "web") } else { pod };
        Pod { uid, node, ..pod }
    })
}

fn vmis() -> impl Strategy<Value = VirtualMachineInstance> {
    (key(), prop::option::of(a_node()), prop::option::of(a_node()), version()).prop_map(|(key, node, target, uid)| {
        let migration_state =
            target.map(|target| MigrationState { target_node: Some(target.to_string()), ..MigrationState::default() });
        VirtualMachineInstance { uid, node, migration_state, ..vmi(&key.namespace, &key.name) }
    })
}

fn migrations() -> impl Strategy<Value = Migration> {
    (key(), prop::sample::select(&NAMES[..]), version(), prop::bool::ANY).prop_map(|(key, vmi, uid, finished)| {
        let phase = if finished { MigrationPhase::Succeeded } else { MigrationPhase::Running };
        Migration { uid, phase, ..migration(&key.namespace, &key.name, vmi) }
    })
}

fn budgets() -> impl Strategy<Value = Budget> {
    (key(), version(), prop::bool::ANY).prop_map(|(key, uid, all)| {
        let budget = budget(&key.namespace, &key.name);
        Budget { uid, ..if all { budget.selecting_all() } else { budget.selecting("app", "web") } }
    })
}

fn maintenances() -> impl Strategy<Value = NodeMaintenance> {
    (prop::sample::select(&NAMES[..]), a_node(), version()).prop_map(|(name, node, uid)| {
        let mut object = maintenance(name, node.as_str());
        object.metadata.uid = Some(uid.0);
        object
    })
}

/// Puts, takes and lists; a list holds only what belongs to its part.
fn ops<K: Kept + Debug>(
    objects: impl Strategy<Value = K> + Clone + 'static,
    keys: impl Strategy<Value = K::Key> + 'static,
    parts: impl Strategy<Value = Part> + 'static,
    belongs: fn(&K, &Part) -> bool,
) -> impl Strategy<Value = Op<K>>
where
    K::Key: Debug,
{
    let keys = keys.boxed();
    let keep = vec(keys.clone(), 0..2);
    prop_oneof![
        4 => objects.clone().prop_map(Op::Put),
        2 => keys.prop_map(Op::Take),
        1 => (parts, vec(objects, 0..4), keep).prop_map(move |(part, mut list, keep)| {
            let mut seen = BTreeSet::new();
            list.retain(|object| belongs(object, &part) && seen.insert(object.key()));
            Op::Replace(part, list, keep.into_iter().collect())
        }),
    ]
}

fn namespaces() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::All),
        prop::sample::select(&NAMESPACES[..]).prop_map(|namespace| Part::Namespace(namespace.to_owned())),
    ]
}

fn any_op() -> impl Strategy<Value = AnyOp> {
    let nodes = (a_node(), version()).prop_map(|(name, uid)| Node { uid, ..node(name.as_str()) });
    let vms = (key(), version()).prop_map(|(key, uid)| VirtualMachine { uid, ..vm(&key.namespace, &key.name) });
    let one_node = || prop_oneof![Just(Part::All), a_node().prop_map(Part::Node)];
    let pod_parts = prop_oneof![namespaces(), a_node().prop_map(Part::Node)];
    prop_oneof![
        1 => ops(nodes.boxed(), a_node(), one_node(), |node, part| !matches!(part, Part::Node(name) if *name != node.name))
            .prop_map(AnyOp::Node),
        3 => ops(pods().boxed(), key(), pod_parts, |pod, part| match part {
            Part::Node(name) => pod.node.as_ref() == Some(name),
            part => of_namespace(&pod.key, part),
        })
        .prop_map(AnyOp::Pod),
        1 => ops(budgets().boxed(), key(), namespaces(), |budget, part| of_namespace(&budget.key, part))
            .prop_map(AnyOp::Budget),
        1 => ops(maintenances().boxed(), prop::sample::select(&NAMES[..]).prop_map(str::to_owned), Just(Part::All), |_, _| true)
            .prop_map(AnyOp::Maintenance),
        1 => ops(vms.boxed(), key(), namespaces(), |vm, part| of_namespace(&vm.key, part)).prop_map(AnyOp::Vm),
        2 => ops(vmis().boxed(), key(), namespaces(), |vmi, part| of_namespace(&vmi.key, part)).prop_map(AnyOp::Vmi),
        3 => ops(migrations().boxed(), key(), namespaces(), |migration, part| of_namespace(&migration.key, part))
            .prop_map(AnyOp::Migration),
    ]
}

proptest! {
    #[test]
    fn a_snapshot_finds_what_a_search_finds_and_names_whom_a_change_concerns(history in vec(any_op(), 1..60)) {
        let (mut snapshot, mut objects) = (Snapshot::default(), Objects::default());
        for op in history {
            let before = NODES.map(|name| objects.around(&node_name(name)));
            let concerned = objects.perform(&mut snapshot, op.clone());
            objects.check(&snapshot);
            for (name, before) in NODES.into_iter().zip(before) {
                let name = node_name(name);
                let changed = objects.around(&name) != before;
                prop_assert!(!changed || concerned.concerns(&name), "{name} is concerned by {op:?}: {concerned:?}");
            }
        }
    }
}

fn concerned_by(change: Concerned) -> Vec<String> {
    assert!(!change.everything);
    change.nodes.into_iter().map(String::from).collect()
}

#[test]
fn a_change_concerns_the_nodes_it_is_about_and_no_others() {
    let mut snapshot = Snapshot::default();
    assert_eq!(concerned_by(snapshot.put(node("node01"))), ["node01"]);
    assert!(snapshot.put(pod("shop", "web-1")).is_empty(), "a pod that is bound to no node concerns none");
    assert_eq!(concerned_by(snapshot.put(pod("shop", "web-1").on("node02"))), ["node02"]);
    assert_eq!(concerned_by(snapshot.put(pod("shop", "web-1").on("node03"))), ["node02", "node03"]);
    assert_eq!(concerned_by(snapshot.put(vmi("shop", "db").on("node01").marked("node02"))), ["node01", "node02"]);
    assert_eq!(concerned_by(snapshot.put(vm("shop", "db"))), ["node01"]);
    assert_eq!(concerned_by(snapshot.put(migration("shop", "m", "db"))), ["node01", "node02"]);
    let elsewhere = maintenance("m", "node09");
    let change = snapshot.put(elsewhere);
    assert_eq!((change.maintenances.len(), concerned_by(change)), (1, vec!["node09".to_owned()]));
    assert!(snapshot.put(budget("shop", "web")).everything);
    assert!(!snapshot.put(KubeVirtConfiguration::default()).everything, "it says what it said");
    assert!(
        snapshot.put(KubeVirtConfiguration { parallel_migrations_per_cluster: 9, ..Default::default() }).everything
    );
}

#[test]
fn what_a_watch_may_not_read_stays_as_it_was() {
    let mut snapshot = Snapshot::default().with(pod("shop", "a").on("node01")).with(pod("shop", "b").on("node01"));
    let keep = BTreeSet::from([ObjectKey::new("shop", "b")]);
    let concerned = snapshot.replace::<Pod>(&Part::All, Vec::new(), &keep);
    assert_eq!(snapshot.pods().map(|pod| pod.key.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(concerned_by(concerned), ["node01"]);
}

#[test]
fn a_pod_that_came_back_on_another_node_is_not_undone_by_late_news_of_the_old_one() {
    let on = |node: &str, uid: &str, version: &str| Pod {
        resource_version: version.to_owned(),
        ..pod("shop", "db-0").on(node).with_uid(uid)
    };
    let (old, new) = (Part::Node(node_name("node01")), Part::Node(node_name("node02")));
    let mut snapshot = Snapshot::default();
    snapshot.put_seen(&old, on("node01", "first", "9"));
    snapshot.put_seen(&new, on("node02", "second", "12"));

    // The watch of the old node lags behind.
    snapshot.put_seen(&old, on("node01", "first", "10"));
    snapshot.replace(&old, vec![on("node01", "first", "10")], &BTreeSet::new());
    let metadata = |uid: &str| ObjectMeta {
        namespace: Some("shop".to_owned()),
        name: Some("db-0".to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    };
    assert!(snapshot.take_seen::<Pod>(&metadata("first")).is_empty());
    assert_eq!(snapshot.pod(&ObjectKey::new("shop", "db-0")).unwrap().uid, "second".into());
    assert_eq!(snapshot.pods_on(&node_name("node02")).count(), 1);

    assert!(snapshot.take_seen::<Pod>(&metadata("second")).concerns(&node_name("node02")));
    assert_eq!(snapshot.pods().count(), 0);
}
