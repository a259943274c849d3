//! `careen demo`: the service on a cluster in memory, that cluster's API for `kubectl`, and a story.
//!
//! | file | holds |
//! |---|---|
//! | `embedded` | the cluster in memory |
//! | `cluster` | what is in it |
//! | `kubeconfig` | the kubeconfig that leads `kubectl` there |
//! | `story` | node02 goes into maintenance and comes back |

mod cluster;
mod embedded;
mod kubeconfig;
mod story;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use careen_core::{cluster::Cluster, controller::Settings, metrics::Metrics, names};
pub(crate) use story::Unproven;
use tokio::time::timeout;

use self::{cluster::Expected, embedded::Embedded, kubeconfig::Kubeconfig};
use crate::{
    args::DemoArgs,
    auth::{Auth, Caller},
    door::Door,
    error::Error,
    identity,
    parts::Parts,
    service::Service,
    shutdown::Shutdown,
};

/// The namespace of Careen's own objects.
const NAMESPACE: &str = "careen";
/// The cluster is full within a few seconds; what takes longer does not come.
const FULL_WITHIN: Duration = Duration::from_secs(60);

/// Runs until a signal ends it, until it cannot go on, or until the story has been told.
pub(crate) async fn demo(args: DemoArgs) -> Result<(), Error> {
    let DemoArgs { listen, no_story, exit_after_story } = args;
    let shutdown = Shutdown::on_signals()?;
    let door = Door::open(listen, []).await?;
    let kubernetes = Door::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), []).await?;
    let kubeconfig = Kubeconfig::write(kubernetes.address)?;
    let metrics = Metrics::default();
    let embedded = Embedded::start();
    let client = embedded.client(&metrics);
    let expected = cluster::fill(&client, NAMESPACE).await?;
    say(&greeting(door.address, &kubeconfig))?;

    let settings = Settings {
        identity: identity::of_this_replica(),
        namespace: NAMESPACE.to_owned(),
        drain_taint_key: names::DRAIN_TAINT_KEY.to_owned(),
        own_pod: None,
    };
    let mut parts = Parts::default();
    // A watch has no end: it is cut off at once.
    parts.start("Kubernetes API", kubernetes.answer(embedded.router(), shutdown.clone(), Duration::ZERO));
    let auth = Auth::everybody_is(Caller::named("demo"));
    let cluster = Service { client, metrics, settings, auth, door }.start(&mut parts, &shutdown);
    let running = parts.run(shutdown.clone());
    if no_story {
        return running.await;
    }
    let story = async {
        let told = tokio::select! {
            told = tell(&cluster, &expected) => told,
            () = shutdown.requested() => return Ok(()),
        };
        if exit_after_story || told.is_err() {
            shutdown.request();
            return told?.map_err(Error::Story);
        }
        say(&farewell(told?, &kubeconfig))
    };
    let (told, ran) = tokio::join!(story, running);
    told.and(ran)
}

/// The story begins when everything is there that it is about.
async fn tell(cluster: &Cluster, expected: &Expected) -> Result<Result<(), Unproven>, Error> {
    let full = async {
        let mut changes = cluster.changes();
        while expected.missing(&cluster.snapshot()).is_some() {
            changes.next().await;
        }
    };
    if timeout(FULL_WITHIN, full).await.is_err() {
        let message = expected.missing(&cluster.snapshot()).unwrap_or_default();
        return Err(Error::Demo { what: "fill its cluster", message });
    }
    story::tell(cluster).await
}

fn greeting(service: SocketAddr, kubeconfig: &Kubeconfig) -> String {
    format!(
        "A Kubernetes cluster with KubeVirt in memory, and Careen on it. Ctrl-C ends both.\n\n\
         \x20   export KUBECONFIG={}     # for kubectl, in another terminal\n\
         \x20   curl http://{service}/readyz\n",
        kubeconfig.path().display()
    )
}

fn farewell(told: Result<(), Unproven>, kubeconfig: &Kubeconfig) -> String {
    let outcome = match told {
        Ok(()) => "The node is as it was before, and every VM that migrated still runs.".to_owned(),
        Err(unproven) => format!("The story did not come out as it should: {unproven}."),
    };
    format!(
        "\n{outcome}\n\nWhat to try next, in another terminal:\n\n\
         \x20   export KUBECONFIG={}\n\
         \x20   kubectl get nodes,vmi,pods -A -o wide\n\
         {NEXT}\n\
         Ctrl-C ends the demo.",
        kubeconfig.path().display()
    )
}

const NEXT: &str = r#"    kubectl create -f - <<'END'    # on node03 there is a VM that cannot migrate
    {apiVersion: nodemaintenance.kubevirt.io/v1beta1, kind: NodeMaintenance,
     metadata: {name: node03-maintenance}, spec: {nodeName: node03, reason: "Trying"}}
    END
    kubectl get nm -w                        # until Ctrl-C: node, phase, progress, what is blocked
    kubectl describe nm node03-maintenance   # what blocks, why, and the way out
    kubectl delete nm node03-maintenance     # puts the node back
"#;

fn say(text: &str) -> Result<(), Error> {
    writeln!(io::stdout(), "{text}").map_err(Error::Output)
}
