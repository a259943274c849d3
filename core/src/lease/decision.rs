//! Whether a Lease may be taken: pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::fields;
use crate::model::CLOCK_SKEW;

/// A Lease, and since when it has looked like this.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The Lease.
    pub lease: Lease,
    /// When its spec was first seen as it is, on our own monotonic clock.
    pub since: Instant,
}

impl Observation {
    /// A Lease that has just been read or written.
    #[must_use]
    pub fn new(lease: Lease, now: Instant) -> Self {
        Self { lease, since: now }
    }

    /// The Lease has been read again; time goes on counting if its spec is the same.
    #[must_use]
    pub fn read_again(&self, lease: Lease, now: Instant) -> Self {
        let since = if lease.spec == self.lease.spec { self.since } else { now };
        Self { lease, since }
    }
}

/// What to do about a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is none: create it.
    Create,
    /// It is free, or its holder is gone: take it.
    TakeOver,
    /// It is ours.
    Renew,
    /// It is somebody else's.
    HeldBy {
        /// Who that is.
        holder: String,
        /// When it is free if its holder does not renew it.
        expires_in: Duration,
    },
}

/// Decides as [client-go](https://pkg.go.dev/k8s.io/client-go/tools/leaderelection) does: somebody else's Lease has
/// expired once *we* have not seen it change for its duration. Clocks of different hosts are not compared.
#[must_use]
pub fn decide(observed: Option<&Observation>, me: &str, now: Instant) -> Decision {
    let Some(Observation { lease, since }) = observed else { return Decision::Create };
    by_holder(lease, me, || (*since + fields::duration(lease)).saturating_duration_since(now))
}

/// Decides as the medik8s operators do: somebody else's Lease has expired once its duration has passed since its
/// `renewTime`. A Lease without a `renewTime` is free.
///
/// This compares the clocks of two hosts, hence an allowance for their difference. In return nobody waits for a whole
/// duration (an hour, with those operators) to find out that the holder is gone.
#[must_use]
pub fn decide_by_wall_clock(lease: Option<&Lease>, me: &str, now: Timestamp) -> Decision {
    let Some(lease) = lease else { return Decision::Create };
    by_holder(lease, me, || match fields::expires_at(lease) {
        Some(expiry) => Duration::try_from(expiry.duration_since(now)).map_or_else(
            |_| CLOCK_SKEW.saturating_sub(now.duration_since(expiry).unsigned_abs()),
            |left| left + CLOCK_SKEW,
        ),
        None => Duration::ZERO,
    })
}

fn by_holder(lease: &Lease, me: &str, expires_in: impl FnOnce() -> Duration) -> Decision {
    match fields::holder(lease) {
        None => Decision::TakeOver,
        Some(holder) if holder == me => Decision::Renew,
        Some(holder) => match expires_in() {
            Duration::ZERO => Decision::TakeOver,
            expires_in => Decision::HeldBy { holder: holder.to_owned(), expires_in },
        },
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};

    use super::*;

    fn start() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn lease(holder: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(30),
            renew_time: Some(MicroTime(start())),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    fn held(seconds: u64) -> Decision {
        Decision::HeldBy { holder: "other".to_owned(), expires_in: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_lease_expires_by_what_was_observed() {
        let since = Instant::now();
        // Its renewTime says nothing: that host's clock may be wrong by hours.
        let mut from_the_past = lease("other");
        from_the_past.spec.as_mut().unwrap().renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
        let cases = [
            (None, 0, Decision::Create),
            (Some(lease("")), 0, Decision::TakeOver),
            (Some(Lease::default()), 0, Decision::TakeOver),
            (Some(lease("me")), 0, Decision::Renew),
            (Some(lease("me")), 1000, Decision::Renew),
            (Some(lease("other")), 0, held(30)),
            (Some(from_the_past), 0, held(30)),
            (Some(lease("other")), 29, held(1)),
            (Some(lease("other")), 30, Decision::TakeOver),
        ];
        for (lease, after, expected) in cases {
            let observed = lease.clone().map(|lease| Observation::new(lease, since));
            let now = since + Duration::from_secs(after);
            assert_eq!(decide(observed.as_ref(), "me", now), expected, "{lease:?} after {after} s");
        }
    }

    #[test]
    fn only_a_changed_spec_begins_the_time_anew() {
        let since = Instant::now();
        let later = since + Duration::from_secs(20);
        let observed = Observation::new(lease("other"), since);

        let mut labelled = lease("other");
        labelled.metadata.resource_version = Some("7".to_owned());
        assert_eq!(observed.read_again(labelled, later).since, since);

        let mut renewed = lease("other");
        renewed.spec.as_mut().unwrap().renew_time = Some(MicroTime(start() + Duration::from_secs(20)));
        assert_eq!(observed.read_again(renewed, later).since, later);
    }

    #[test]
    fn a_node_lease_expires_by_the_wall_clock() {
        let mut never_renewed = lease("other");
        never_renewed.spec.as_mut().unwrap().renew_time = None;
        let cases = [
            (None, 0, Decision::Create),
            (Some(lease("")), 0, Decision::TakeOver),
            (Some(never_renewed), 0, Decision::TakeOver),
            (Some(lease("me")), 1000, Decision::Renew),
            (Some(lease("other")), 0, held(40)),
            (Some(lease("other")), 30, held(10)),
            (Some(lease("other")), 39, held(1)),
            (Some(lease("other")), 40, Decision::TakeOver),
            (Some(lease("other")), 4000, Decision::TakeOver),
        ];
        for (lease, after, expected) in cases {
            let now = start() + Duration::from_secs(after);
            assert_eq!(decide_by_wall_clock(lease.as_ref(), "me", now), expected, "{lease:?} after {after} s");
        }
    }
}
