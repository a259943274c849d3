//! The fields of a Lease: read, and set as client-go sets them.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};

use crate::model::ObjectKey;
pub(super) use crate::model::{lease_duration as duration, lease_expires_at as expires_at, lease_holder as holder};

/// Who claims a Lease, and for how long at a time.
#[derive(Clone, Debug)]
pub(super) struct Claimant {
    pub holder: String,
    pub duration: Duration,
    /// The object that the Lease belongs to, if any.
    pub owner: Option<OwnerReference>,
}

impl Claimant {
    pub(super) fn created(&self, key: &ObjectKey, now: Timestamp) -> Lease {
        let metadata = ObjectMeta {
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(seconds(self.duration)),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// Renewed if it is ours, else taken over.
    pub(super) fn claimed(&self, lease: &Lease, now: Timestamp) -> Lease {
        let is_ours = holder(lease) == Some(&self.holder);
        let mut lease = lease.clone();
        if let Some(owner) = &self.owner {
            // One owner of that kind: a node that was re-created has another UID.
            let owners = lease.metadata.owner_references.get_or_insert_default();
            owners.retain(|other| other.kind != owner.kind);
            owners.push(owner.clone());
        }
        let spec = lease.spec.get_or_insert_default();
        if !is_ours {
            spec.holder_identity = Some(self.holder.clone());
            spec.acquire_time = Some(MicroTime(now));
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
        }
        spec.renew_time = Some(MicroTime(now));
        spec.lease_duration_seconds = Some(seconds(self.duration));
        lease
    }
}

/// Without a holder, and as short as a Lease can be.
pub(super) fn vacated(lease: &Lease, now: Timestamp) -> Lease {
    let mut lease = lease.clone();
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.acquire_time = Some(MicroTime(now));
    spec.renew_time = Some(MicroTime(now));
    lease
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ObjectKey {
        ObjectKey::new("ns", "name")
    }

    fn claimant(holder: &str) -> Claimant {
        Claimant { holder: holder.to_owned(), duration: Duration::from_secs(30), owner: None }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Holder, acquired at, renewed at, transitions.
    fn shown(lease: &Lease) -> (Option<&str>, i64, i64, i32) {
        let spec = lease.spec.as_ref().unwrap();
        let second = |time: &Option<MicroTime>| time.as_ref().unwrap().0.as_second();
        (holder(lease), second(&spec.acquire_time), second(&spec.renew_time), spec.lease_transitions.unwrap())
    }

    #[test]
    fn the_history_of_a_lease() {
        let lease = claimant("a").created(&key(), at(1));
        assert_eq!(shown(&lease), (Some("a"), 1, 1, 0));
        let lease = claimant("a").claimed(&lease, at(2));
        assert_eq!(shown(&lease), (Some("a"), 1, 2, 0));
        let lease = claimant("b").claimed(&lease, at(3));
        assert_eq!(shown(&lease), (Some("b"), 3, 3, 1));
        let lease = vacated(&lease, at(4));
        assert_eq!(shown(&lease), (None, 4, 4, 1));
        assert_eq!(duration(&lease), Duration::from_secs(1));
        let lease = claimant("b").claimed(&lease, at(5));
        assert_eq!(shown(&lease), (Some("b"), 5, 5, 2));
        assert_eq!(expires_at(&lease), Some(at(35)));
    }

    #[test]
    fn it_belongs_to_one_node() {
        let owner = |uid: &str| OwnerReference { kind: "Node".into(), uid: uid.into(), ..OwnerReference::default() };
        let of = |uid| Claimant { owner: Some(owner(uid)), ..claimant("a") };
        let lease = of("old").created(&key(), at(1));
        assert_eq!(of("new").claimed(&lease, at(2)).metadata.owner_references, Some(vec![owner("new")]));
    }
}
