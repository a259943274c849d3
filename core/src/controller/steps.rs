//! The steps by which a node goes out of service: each is done, waits, or says what is wrong.

use super::{
    acting::trouble_with_node,
    left_behind,
    news::News,
    requests::{self, WriteError, has_finalizer},
    worker::Worker,
};
use crate::{
    cluster::Snapshot,
    drain::DrainPhase,
    maintenance::{
        intent::{drain_taint_key, intent},
        maintenance_is_gone, status,
    },
    model::{Node, NodeMaintenance, Record, RecordReading, Trouble},
    node::{self, DrainStage},
};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progressed {
    /// It is done; the next may begin.
    Done,
    /// It has to be waited for.
    Waits,
}

impl Worker {
    /// The finalizer makes sure that the node is restored before the object goes.
    pub(super) async fn hold_object(&mut self, object: &NodeMaintenance) -> Result<Progressed, Trouble> {
        if has_finalizer(object) {
            return Ok(Progressed::Done);
        }
        let from = self.cached_object_version();
        match requests::add_finalizer(self.acting.context.cluster.client(), object).await {
            Ok(written) => {
                if let Some(written) = written {
                    self.wrote_object(&from, written);
                }
                self.acting.context.publisher.of_maintenance(object, News::BeginMaintenance);
                Ok(Progressed::Done)
            }
            Err(WriteError::Changed(_)) => Ok(Progressed::Waits),
            Err(error) => Err(error.into()),
        }
    }

    /// Record, cordon and taint, in one write; again whenever somebody undoes them.
    pub(super) async fn take_out(
        &mut self,
        object: &NodeMaintenance,
        node: &Node,
        snapshot: &Snapshot,
    ) -> Result<Progressed, Trouble> {
        let settings = &self.acting.context.settings;
        let now = self.acting.now();
        let key = drain_taint_key(object, node, &settings.drain_taint_key);
        let kubevirt_key = snapshot.kubevirt().node_drain_taint_key.clone();
        if let Some(left_behind) = left_behind::by_another(object, node, snapshot, &key)
            && maintenance_is_gone(self.acting.context.cluster.client(), &left_behind.actor).await.unwrap_or(false)
        {
            self.inherit(node, left_behind).await?;
            return Ok(Progressed::Waits);
        }
        let wanted = intent(object, node, &key, now)?;
        let was_out = matches!(Record::read(node), RecordReading::Present(_)) || wanted.mended.is_some();
        let patch = |node: &Node| match intent(object, node, &key, now) {
            Ok(intent) => node::take_out(node, &intent.record, &key, &kubevirt_key),
            Err(_) => Ok(None),
        };
        let from = self.acting.cached_node_version();
        let written = node::change(self.acting.context.cluster.client(), node, patch).await;
        let written = written.map_err(|error| trouble_with_node(&error))?;
        if let Some(written) = written {
            tracing::info!(node = %written.name, maintenance = self.acting.actor.name, "cordoned, tainted and recorded");
            if was_out {
                let undone = format!(
                    "node {} was uncordoned or changed during its maintenance, and is taken out again",
                    written.name
                );
                let news = News::NodeTakenOutAgain(wanted.mended.unwrap_or(undone));
                self.acting.context.publisher.of_maintenance(object, news);
            }
            self.acting.wrote_node(&from, written);
        }
        Ok(Progressed::Done)
    }

    /// The record of a maintenance that was removed by force becomes ours: it says what the node was like before
    /// either.
    pub(super) async fn inherit(&mut self, node: &Node, left_behind: Record) -> Result<(), Trouble> {
        tracing::warn!(node = %node.name, from = left_behind.actor.name, to = self.acting.actor.name, "takes the node over");
        let old = left_behind.actor.clone();
        let inherited = Record { actor: self.acting.actor.clone(), ..left_behind };
        let from = self.acting.cached_node_version();
        let written = node::change(self.acting.context.cluster.client(), node, |node| match Record::read(node) {
            RecordReading::Present(found) if found.actor == old => Ok(node::write_record(node, &inherited)),
            _ => Ok(None),
        });
        if let Some(written) = written.await.map_err(|error| trouble_with_node(&error))? {
            self.acting.wrote_node(&from, written);
        }
        self.acting.retry.at = Some(self.acting.now());
        Ok(())
    }

    /// The node conditions.
    pub(super) async fn say_in_progress(&mut self) -> Result<Progressed, Trouble> {
        let Some(object) = self.look().1 else { return Ok(Progressed::Waits) };
        let last = self.acting.last.as_ref().map(|(phase, progress)| (phase, progress));
        let stage = match last {
            last if status::is_drained(&object, last) => DrainStage::Completed,
            Some((DrainPhase::TimedOut, _)) => DrainStage::Ended,
            _ => DrainStage::InProgress,
        };
        self.acting.say(stage).await?;
        Ok(Progressed::Done)
    }
}
