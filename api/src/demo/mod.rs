//! `careen demo`: the service on a cluster in memory, that cluster's API for `kubectl`, and a story.
//!
//! | file | holds |
//! |---|---|
//! | `cluster` | the cluster in memory, and what is in it |
//! | `kubernetes_api` | its API, for others |
//! | `kubeconfig` | the kubeconfig that leads `kubectl` there |
//! | `story` | node02 goes into maintenance and comes back |

mod cluster;
mod kubeconfig;
mod kubernetes_api;
mod story;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use careen_core::{
    cluster::{Cluster, client_on},
    controller::Settings,
    metrics::Metrics,
    names,
};
use careen_sim::{api_server::User, cluster::SimulatedCluster};
pub(crate) use story::Unproven;

use self::kubeconfig::Kubeconfig;
use crate::{
    args::DemoArgs,
    auth::{Auth, Caller},
    door::Door,
    error::Error,
    graphql, identity, notify,
    parts::Parts,
    service::Service,
    shutdown::Shutdown,
};

/// The namespace of Careen's own objects.
const NAMESPACE: &str = "careen";

/// Runs until a signal ends it, until it cannot go on, or until the story has been told.
pub(crate) async fn demo(args: DemoArgs) -> Result<(), Error> {
    let DemoArgs { listen, no_story, exit_after_story, notify } = args;
    let delivery = notify::open(&notify)?;
    let shutdown = Shutdown::on_signals()?;
    let door = Door::open(listen, []).await?;
    let kubernetes = Door::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), []).await?;
    let kubeconfig = Kubeconfig::write(kubernetes.address)?;
    let metrics = Metrics::default();
    let simulated = cluster::start(NAMESPACE).await?;
    let client = client_on(simulated.api_server().as_user(User::administrator()), &metrics);
    say(&greeting(door.address, &kubeconfig))?;

    let settings = Settings {
        identity: identity::of_this_replica(),
        namespace: NAMESPACE.to_owned(),
        drain_taint_key: names::DRAIN_TAINT_KEY.to_owned(),
        own_pod: None,
    };
    let mut parts = Parts::default();
    // A watch has no end: it is cut off at once.
    parts.start(
        "Kubernetes API",
        kubernetes.answer(kubernetes_api::router(simulated.api_server()), shutdown.clone(), Duration::ZERO),
    );
    let auth = Auth::everybody_is(Caller::named("demo"));
    let graphql = graphql::Limits::default();
    let cluster = Service { client, metrics, settings, auth, delivery, door, graphql }.start(&mut parts, &shutdown)?;
    let story = async {
        let told = tokio::select! {
            told = tell(&simulated, &cluster, no_story) => told,
            () = shutdown.requested() => {
                // Whoever asks for the exit status wants to know that node02 was drained and restored.
                return if exit_after_story { Err(Error::StoryInterrupted) } else { Ok(()) };
            }
        };
        let outcome = match told {
            Ok(None) => return Ok(()),
            Ok(Some(proven)) if !exit_after_story => {
                say(&outcome(proven.as_ref().err()))?;
                return say(&farewell(&kubeconfig));
            }
            Ok(Some(Ok(()))) => say(&outcome(None)),
            Ok(Some(Err(unproven))) => Err(Error::Story(unproven)),
            Err(error) => Err(error),
        };
        shutdown.request();
        outcome
    };
    let (told, ran) = tokio::join!(story, parts.run(shutdown.clone()));
    came_out(told, ran)
}

/// What ended the demo. A story that was interrupted by a part that failed says less than that part.
fn came_out(told: Result<(), Error>, ran: Result<(), Error>) -> Result<(), Error> {
    ran.and(told)
}

/// The story begins when everything is there that it is about. The inner result says how it came out, if it was told.
async fn tell(
    simulated: &SimulatedCluster,
    cluster: &Cluster,
    no_story: bool,
) -> Result<Option<Result<(), Unproven>>, Error> {
    cluster::fill(simulated, cluster).await?;
    if no_story { Ok(None) } else { story::tell(cluster).await.map(Some) }
}

fn greeting(service: SocketAddr, kubeconfig: &Kubeconfig) -> String {
    format!(
        "A Kubernetes cluster with KubeVirt in memory, and Careen on it. Ctrl-C ends both.\n\n\
         \x20   export KUBECONFIG={}     # for kubectl, in another terminal\n\
         \x20   curl http://{service}/readyz\n",
        kubeconfig.path().display()
    )
}

fn outcome(unproven: Option<&Unproven>) -> String {
    match unproven {
        None => "\nThe node is as it was before, and every VM that migrated still runs.".to_owned(),
        Some(unproven) => format!("\nThe story did not come out as it should: {unproven}."),
    }
}

fn farewell(kubeconfig: &Kubeconfig) -> String {
    format!(
        "\nWhat to try next, in another terminal:\n\n\
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_and_not_that_the_story_was_interrupted_by_it() {
        let fault = || Err(Error::Ended { part: "controller", message: None });
        let error = |told, ran| came_out(told, ran).unwrap_err().to_string();
        assert!(error(Err(Error::StoryInterrupted), fault()).starts_with("the controller ended by itself"));
        assert_eq!(error(Err(Error::StoryInterrupted), Ok(())), Error::StoryInterrupted.to_string());
        assert!(came_out(Ok(()), Ok(())).is_ok());
    }
}
