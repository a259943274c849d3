//! The controller: stands for election, and carries maintenances out while it leads.

use std::sync::Arc;

use futures::{FutureExt, future::join};
use tokio::{sync::watch, time::Instant};

use super::{
    call_back::Delivery,
    context::{Context, Settings, has_ready_replica},
    gauges::BlockedGauges,
    news::Publisher,
    receipts,
    supervisor::Supervisor,
};
use crate::{
    clock::Clock,
    cluster::Cluster,
    lease::{ElectionSettings, LeaderElection, Leadership},
};

/// Name of the leader Lease, in Careen's namespace.
const LEADER_LEASE: &str = "careen-controller";
/// How long a leader that hands over stays out of the election.
const REST: std::time::Duration = std::time::Duration::from_secs(60);

/// The controller of `NodeMaintenance` resources.
pub struct Controller {
    cluster: Cluster,
    settings: Settings,
    clock: Clock,
    delivery: Option<Delivery>,
    standing: watch::Sender<Leadership>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Controller {
    /// A controller on that connection.
    #[must_use]
    pub fn new(cluster: Cluster, settings: Settings, clock: Clock) -> Self {
        let standing = watch::Sender::new(Leadership::Standby { holder: None });
        Self { cluster, settings, clock, delivery: None, standing }
    }

    /// How it stands in the election, from now on. Before it has looked, it stands by, and nobody leads.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Leadership> {
        self.standing.subscribe()
    }

    /// Tells others through that what becomes of maintenances while this replica leads.
    #[must_use]
    pub fn telling(self, delivery: Option<Delivery>) -> Self {
        Self { delivery, ..self }
    }

    /// Works until told to shut down; then finishes the requests that are on their way and releases the leader Lease.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let client = self.cluster.client().clone();
        let election = ElectionSettings::new(&self.settings.namespace, LEADER_LEASE, &self.settings.identity);
        let election = Arc::new(LeaderElection::start(client, self.clock, election));
        let (hand_over, mut wants_hand_over) = watch::channel(false);
        let context = self.context(hand_over);
        let mut leadership = election.leadership();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let leads = leadership.borrow_and_update().is_mine(Instant::now());
            self.cluster.metrics().leader.set(i64::from(leads));
            self.standing.send_replace(leadership.borrow().clone());
            if !leads {
                tell(&leadership.borrow());
                tokio::select! {
                    biased;
                    changed = leadership.changed() => if changed.is_err() { return },
                    () = &mut shutdown => break,
                }
                continue;
            }
            tracing::info!(identity = self.settings.identity, "leads");
            // Acting on caches that are not filled would be acting on a cluster without pods.
            let work = async {
                self.cluster.ready().await;
                let (stop, stopping) = watch::channel(false);
                let receipts = receipts::look_after(context.clone(), stopping.clone());
                (stop, join(Supervisor::new(context.clone()).run(stopping), receipts).map(drop))
            };
            let (stop, work) = tokio::select! {
                biased;
                changed = leadership.changed() => { if changed.is_err() { return } continue },
                () = &mut shutdown => break,
                work = work => work,
            };
            let mut work = std::pin::pin!(work);
            let end = loop {
                tokio::select! {
                    biased;
                    changed = leadership.changed() => {
                        if changed.is_err() || !leadership.borrow_and_update().is_mine(Instant::now()) {
                            break End::Lost;
                        }
                    }
                    () = &mut shutdown => break End::Shutdown,
                    _ = wants_hand_over.changed() => break End::HandOver,
                    () = &mut work => break End::Lost,
                }
            };
            match end {
                // Dropped: nothing more is sent, and what is on its way is abandoned well before the Lease passes on.
                End::Lost => tracing::warn!("leads no longer"),
                End::HandOver => {
                    let resigned = election.step_down(REST).await;
                    stop.send_replace(true);
                    finish(work, resigned.deadline()).await;
                    report(resigned.release().await);
                }
                End::Shutdown => {
                    let Some(election) = Arc::into_inner(election) else { return };
                    let resigned = election.stop().await;
                    self.cluster.metrics().leader.set(0);
                    stop.send_replace(true);
                    finish(work, resigned.deadline()).await;
                    report(resigned.release().await);
                    return;
                }
            }
            context.leads_no_longer();
        }
        if let Some(election) = Arc::into_inner(election) {
            report(election.stop().await.release().await);
        }
    }

    fn context(&self, hand_over: watch::Sender<bool>) -> Context {
        let cluster = self.cluster.clone();
        let own_pod = self.settings.own_pod.clone();
        let hand_over = move || {
            let wanted = own_pod.as_ref().is_some_and(|own_pod| has_ready_replica(&cluster, own_pod));
            if wanted {
                hand_over.send_replace(true);
            }
            wanted
        };
        Context {
            cluster: self.cluster.clone(),
            clock: self.clock,
            settings: self.settings.clone(),
            publisher: Publisher::new(self.cluster.client().clone(), self.settings.identity.clone()),
            blocked: Arc::new(BlockedGauges::default()),
            hand_over: Arc::new(hand_over),
            delivery: self.delivery.clone(),
        }
    }
}

enum End {
    Lost,
    HandOver,
    Shutdown,
}

/// Waits for the work to finish, but not beyond the time when somebody else may lead.
async fn finish(work: impl Future<Output = ()>, deadline: Option<Instant>) {
    let Some(deadline) = deadline else { return };
    if tokio::time::timeout_at(deadline, work).await.is_err() {
        tracing::warn!("requests were still on their way when the leader Lease ran out");
    }
}

fn report(released: Result<(), crate::lease::LeaseError>) {
    match released {
        Ok(()) => tracing::info!("the leader Lease is released"),
        Err(error) => tracing::warn!(%error, "the leader Lease was not released; it lapses by itself"),
    }
}

fn tell(leadership: &Leadership) {
    match leadership {
        Leadership::Standby { holder: Some(holder) } => tracing::info!(holder, "stands by: another replica leads"),
        Leadership::Standby { holder: None } => tracing::info!("stands for election"),
        Leadership::Unavailable { error } => tracing::warn!(%error, "cannot stand for election; tries again"),
        Leadership::Leading { .. } => {}
    }
}
