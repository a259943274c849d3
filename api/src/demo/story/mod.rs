//! The story: a node goes into maintenance and comes back, and one sees how.
//!
//! | file | holds |
//! |---|---|
//! | `observation` | what is seen of the cluster at one moment |
//! | `teller` | what is said of it, pure |
//! | `proof` | whether it came out as it should, pure |
//! | `stage` | where it is told: a terminal, or a pipe |
//! | `keys` | the key that ends the maintenance |

mod keys;
mod observation;
mod proof;
mod stage;
mod teller;
#[cfg(test)]
mod tests;

use std::{pin::pin, time::Duration};

use careen_core::{
    cluster::Cluster,
    drain::{DrainOptions, DrainSpec},
    maintenance::NodeMaintenance,
    model::NodeName,
};
use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use tokio::time::{Instant, sleep, timeout};

pub(crate) use proof::Unproven;

use self::{
    keys::Keys,
    observation::{Observation, observe},
    proof::Proof,
    stage::Stage,
    teller::Teller,
};
use crate::error::Error;

/// The manifest that it applies.
const MANIFEST: &str = include_str!("../node02-maintenance.yaml");
/// Each of the drain and the restoring takes a fraction of this; what takes longer has failed.
const LIMIT: Duration = Duration::from_secs(120);
/// Bars that count seconds are drawn anew so often.
const REDRAW: Duration = Duration::from_millis(500);
/// The maintenance ends by itself after this time, so that a story that nobody watches has an end.
const UNTIL_KEY: Duration = Duration::from_secs(30);
/// The same, where nobody can press a key.
const WITHOUT_KEY: Duration = Duration::from_secs(2);

/// One story, while it is told.
struct Story<'a> {
    cluster: &'a Cluster,
    node: NodeName,
    maintenance: NodeMaintenance,
    options: DrainOptions,
    stage: Stage,
    began: Instant,
    teller: Teller,
    proof: Proof,
}

/// Tells the story on stdout. The inner result says whether it came out as it should.
pub(super) async fn tell(cluster: &Cluster) -> Result<Result<(), Unproven>, Error> {
    cluster.ready().await;
    let fault =
        |error: &dyn std::fmt::Display| Error::Demo { what: "read its own manifest", message: error.to_string() };
    let maintenance: NodeMaintenance = serde_saphyr::from_str(MANIFEST).map_err(|error| fault(&error))?;
    let node = maintenance.node().map_err(|error| fault(&error))?;
    let options = DrainSpec::default().for_maintenance().map_err(|error| fault(&error))?;
    let first = observe(&node, maintenance.name(), &options, &cluster.snapshot(), Timestamp::now());
    let story = Story {
        cluster,
        stage: Stage::on_stdout(),
        began: Instant::now(),
        teller: Teller::begin(node.as_str(), first.clone()),
        proof: Proof::begin(node.as_str(), &first),
        node,
        maintenance,
        options,
    };
    story.tell().await
}

impl Story<'_> {
    async fn tell(mut self) -> Result<Result<(), Unproven>, Error> {
        let keys = Keys::of_stdin();
        self.say_plan()?;
        self.begin_maintenance().await?;
        if self.watch(Proof::drained).await? {
            self.stay_out_of_service(keys).await?;
            self.end_maintenance().await?;
            self.watch(Proof::restored).await?;
        }
        self.stage.clear();
        let last = self.observe(Timestamp::now());
        Ok(self.proof.conclude(&last))
    }

    fn say_plan(&mut self) -> Result<(), Error> {
        self.say(&format!("What would happen if node {} went out of service now:", self.node))?;
        for line in self.teller.plan() {
            self.say(&format!("        {line}"))?;
        }
        self.say("")
    }

    async fn begin_maintenance(&mut self) -> Result<(), Error> {
        self.say("This manifest takes it out of service (kubectl apply -f):\n")?;
        for line in MANIFEST.lines() {
            self.say(&format!("    {line}"))?;
        }
        self.say("")?;
        self.began = Instant::now();
        let created = self.maintenances().create(&PostParams::default(), &self.maintenance).await;
        created.map(drop).map_err(|error| refused("create the NodeMaintenance", &error))
    }

    async fn end_maintenance(&mut self) -> Result<(), Error> {
        self.say(&format!("\nThis puts it back: kubectl delete nm {}\n", self.maintenance.name()))?;
        match self.maintenances().delete(self.maintenance.name(), &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            // Somebody was faster.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(refused("delete the NodeMaintenance", &error)),
        }
    }

    /// Tells what happens until there is an answer to this question; after a while the answer is no.
    async fn watch(&mut self, question: fn(&Proof, &Observation) -> Option<bool>) -> Result<bool, Error> {
        let give_up_at = Instant::now() + LIMIT;
        let mut changes = self.cluster.changes();
        loop {
            let seen = self.look()?;
            if let Some(answer) = question(&self.proof, &seen) {
                return Ok(answer);
            }
            if Instant::now() >= give_up_at {
                return Ok(false);
            }
            tokio::select! {
                _ = changes.next() => {}
                () = sleep(REDRAW) => {}
            }
        }
    }

    /// Until a key is pressed, or for a while.
    async fn stay_out_of_service(&mut self, keys: Option<Keys>) -> Result<(), Error> {
        let pause = if keys.is_some() { UNTIL_KEY } else { WITHOUT_KEY };
        if keys.is_some() {
            let (node, seconds) = (&self.node, pause.as_secs());
            self.say(&format!("\nNode {node} is empty and stays so: work on it now."))?;
            self.say(&format!("Press Enter to put it back into service; by itself it goes back in {seconds} s.\n"))?;
        }
        let mut changes = self.cluster.changes();
        let mut enough = pin!(timeout(pause, keys::pressed(keys)));
        loop {
            tokio::select! {
                // The time is over, or the key was pressed.
                _ = &mut enough => return Ok(()),
                _ = changes.next() => drop(self.look()?),
            }
        }
    }

    /// Looks once, and tells what is new.
    fn look(&mut self) -> Result<Observation, Error> {
        let now = Timestamp::now();
        let seen = self.observe(now);
        self.proof.see(&seen);
        for line in self.teller.tell(self.began.elapsed(), now, seen.clone()) {
            self.say(&line.to_string())?;
        }
        self.stage.show(&self.teller.bars(now), self.node.as_str());
        Ok(seen)
    }

    fn observe(&self, now: Timestamp) -> Observation {
        observe(&self.node, self.maintenance.name(), &self.options, &self.cluster.snapshot(), now)
    }

    fn maintenances(&self) -> Api<NodeMaintenance> {
        Api::all(self.cluster.client().clone())
    }

    fn say(&self, text: &str) -> Result<(), Error> {
        self.stage.say(text).map_err(Error::Output)
    }
}

fn refused(what: &'static str, error: &kube::Error) -> Error {
    Error::Demo { what, message: error.to_string() }
}
